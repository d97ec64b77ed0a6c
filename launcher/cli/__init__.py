"""The commands beside launching: one file a noun."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from launcher import streams
from launcher.commands import COMMANDS, overview, unknown_command, unknown_verb
from launcher.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

ACTIONS = frozenset(
    {"init", "wait", "cancel", "rerun", "resume", "delete", "download", "build", "prune", "clean"}
)
"""Commands and verbs that do more than print: their exit code says what they did, whoever reads."""


def main(argv: Sequence[str]) -> int:
    """Run a command, `argv[0]`, and return its exit code.

    Raises:
        LauncherError: what a user can mend.
    """
    name = argv[0]
    if name == "help":
        print(usage())  # noqa: T201  # the answer
        return streams.print_code()
    if name not in COMMANDS:
        raise ConfigError([unknown_command(argv)])
    problem = unknown_verb(name, argv[1:])
    if problem is not None:
        raise ConfigError([problem])
    code = int(import_module(f"launcher.cli.{name}").main(argv[1:]))
    return code if ACTIONS & {name, *argv[1:2]} else streams.print_code(code)


def usage() -> str:
    """Return what `launcher help` prints."""
    return (
        "usage: launcher KEY=VALUE …      launch a run (`launcher --help` lists the keys)\n"
        f"       launcher COMMAND …\n\ncommands (`launcher COMMAND --help` explains each):\n{overview()}"
    )
