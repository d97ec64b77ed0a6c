"""The commands beside launching: one file a noun."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from launcher import streams
from launcher.errors import ConfigError, nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = {
    "completion": "print a script that completes commands, run ids and overrides in your shell",
    "compute": "check a compute target: what works from here; clean up after crashes",
    "env": "list, show, build and prune environments: packages and images",
    "init": "write a small project that runs at once",
    "runs": "list, show, follow, cancel, rerun and delete runs",
    "sweeps": "list, show, wait for, cancel and resume sweeps",
}
"""Each with its help; the module of the same name here has `main(argv)`."""

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
        print(overview())  # noqa: T201  # the answer
        return streams.print_code()
    if name not in COMMANDS:
        hint = nearest(name, list(COMMANDS)) or "An override has a '=', as in nodes=2"
        raise ConfigError([f"{name}: no such command; expected one of {', '.join(COMMANDS)}. {hint}"])
    code = int(import_module(f"launcher.cli.{name}").main(argv[1:]))
    return code if ACTIONS & {name, *argv[1:2]} else streams.print_code(code)


def overview() -> str:
    """Return what `launcher help` prints."""
    width = max(len(name) for name in COMMANDS)
    commands = "\n".join(f"  {name.ljust(width)}  {text}" for name, text in COMMANDS.items())
    return (
        "usage: launcher KEY=VALUE …      launch a run (`launcher --help` lists the keys)\n"
        f"       launcher COMMAND …\n\ncommands:\n{commands}"
    )
