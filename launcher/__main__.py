"""The command line: a bare first word is a command, anything else a launch."""

from __future__ import annotations

import os
import re
import signal
import sys
from typing import TYPE_CHECKING

from launcher import streams
from launcher.agent.base.startup import use_utf8
from launcher.errors import LauncherError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

    from launcher.config.command_line import CommandLine


class TerminationSignal(KeyboardInterrupt):
    """A signal asks this process to end; what Ctrl-C cleans up is cleaned up."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code; what a user can mend is told without a traceback."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        # Every branch imports its own part only: `runs list` must not wait for Hydra.
        if not _is_launch(words):
            from launcher import cli  # noqa: PLC0415

            return cli.main(words)
        return _launch(words)
    except LauncherError as error:
        if "--json" in words and not _is_launch(words):
            from launcher.cli.output import say_error  # noqa: PLC0415

            say_error(error)
        else:
            print(error, file=sys.stderr)  # noqa: T201  # the one place where errors are told
        return error.exit_code
    except KeyboardInterrupt as interrupt:
        number = interrupt.number if isinstance(interrupt, TerminationSignal) else signal.SIGINT
        return 128 + number  # as shells count


def _is_launch(words: Sequence[str]) -> bool:
    return not (words and re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", words[0]))


def _launch(words: Sequence[str]) -> int:
    from launcher.config.command_line import parse  # noqa: PLC0415

    line = parse(words)
    if line.version:
        from launcher.config.hydra_cli import product_version  # noqa: PLC0415

        print(f"launcher {product_version()}")  # noqa: T201  # the answer
        return streams.print_code()
    if line.hydra:
        from launcher.config.hydra_cli import show  # noqa: PLC0415

        return streams.print_code(show(line))
    if line.multirun or line.plugins:
        return _sweep(line)
    from launcher.session import Session  # noqa: PLC0415

    session = Session()
    if "compute=docker" in words and not any(word.startswith("dry_run=") for word in words):
        from launcher.engine.helper import Helper  # noqa: PLC0415

        session.open(Helper)  # imports the SDK while Hydra is imported here
    from launcher.checks import check  # noqa: PLC0415
    from launcher.config.load import load  # noqa: PLC0415
    from launcher.launch import launch  # noqa: PLC0415
    from launcher.probe import probe  # noqa: PLC0415

    return launch(load(line, check=lambda spec: check(spec, probe(spec))), session)


def _sweep(line: CommandLine) -> int:
    from launcher.config.hydra_cli import is_foreign, run  # noqa: PLC0415
    from launcher.config.load import Loader, load_sweep  # noqa: PLC0415

    loader = None if line.plugins else Loader(line, None)
    if loader is None or is_foreign(loader):
        from launcher.plugin import launch_one  # noqa: PLC0415

        run(line, launch_one)
        return 0
    from launcher.launch import launch_sweep  # noqa: PLC0415
    from launcher.members import refuse_sweep  # noqa: PLC0415

    return launch_sweep(load_sweep(loader, admit=refuse_sweep), line).exit_code


def run() -> None:
    """Run the command line of this process and end it; never returns."""
    streams.open_standard()
    use_utf8(sys.orig_argv[1:])
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup ignores SIGHUP
            signal.signal(number, _terminate)
    try:
        code = main()
    except SystemExit as end:  # of argparse, which has printed help or what is wrong
        code = streams.print_code(end.code if isinstance(end.code, int) else 0)
    streams.report()
    os._exit(code)  # to take Hydra apart costs 50 ms, and gives nothing back that the end does not


def _terminate(number: int, _frame: FrameType | None) -> None:
    raise TerminationSignal(number)


if __name__ == "__main__":
    run()
