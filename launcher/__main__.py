"""The command line: a bare first word is a command, anything else a launch."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

from launcher.errors import LauncherError

if TYPE_CHECKING:
    from collections.abc import Sequence

INTERRUPTED = 130  # 128 + SIGINT, as shells count


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code; what a user can mend is told without a traceback."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        return _run(words)
    except LauncherError as error:
        print(error, file=sys.stderr)  # noqa: T201  # the one place where errors are told
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED


def _run(words: list[str]) -> int:
    # Every branch imports its own part only: `runs list` must not wait for Hydra.
    if words and re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", words[0]):
        from launcher import cli  # noqa: PLC0415

        return cli.main(words)
    from launcher.config.run import run  # noqa: PLC0415

    return run(words)


if __name__ == "__main__":
    sys.exit(main())
