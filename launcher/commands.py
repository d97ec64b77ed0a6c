"""The commands beside launching: nouns and their verbs, from which help, pointers and completion are made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from launcher.errors import nearest
from launcher.paths import LATEST

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

COMMANDS: Final = {
    "completion": "print a script that completes commands, run ids and overrides in your shell",
    "compute": "check a compute target: what works from here; clean up after crashes",
    "env": "list, show, build and prune environments: packages and images",
    "init": "write a small project that runs at once",
    "runs": "list, show, follow, cancel, rerun and delete runs",
    "sweeps": "list, show, wait for, cancel and resume sweeps",
}
"""Each with its help; the module of the same name in `launcher.cli` has `main(argv)`."""

VERBS: Final[dict[str, dict[str, str]]] = {
    "runs": {
        "list": "the newest runs; filters: state=failed name=mnist tag=KEY[=VALUE] since=2h|3d|DATE sweep=ID",
        "show": "all about one run",
        "logs": "what a process of a run printed",
        "files": "the files that a run left",
        "download": "copy files of a run",
        "wait": "wait until runs are over; exit code 1 if one did not complete",
        "cancel": "end runs",
        "rerun": "run the frozen source, config and environment of a run again",
        "delete": "remove runs that are over; their numbers are never used again",
    },
    "sweeps": {
        "list": "the newest sweeps, and how many of their members are in which state",
        "show": "all about one sweep, with a line for each member",
        "wait": "wait until all members are over; exit code 1 if one did not complete",
        "cancel": "end all members, or those with these numbers",
        "resume": "run the members that failed, were canceled or never started, as they are frozen",
    },
    "compute": {
        "check": "what works from here, and what to do about the rest; exit code 1 if something is bad",
        "clean": "remove what killed supervisors left: containers, networks, folders in TMPDIR",
    },
    "env": {
        "list": "environments, how large they are, when each was used last and by how many runs",
        "show": "all about one: packages, place, log of its build, runs",
        "build": "build the environment of a launch, with the same words, without launching",
        "prune": "remove builds that did not finish, and what was not used for long and no open run needs",
    },
}
"""The verbs of the nouns that have some, each with its help."""

SYNONYMS: Final = {
    "ls": "list", "ps": "list", "history": "list",
    "status": "show", "info": "show", "describe": "show", "get": "show", "cat": "show",
    "log": "logs", "tail": "logs", "follow": "logs", "watch": "logs", "attach": "logs",
    "cp": "download", "pull": "download", "fetch": "download",
    "kill": "cancel", "stop": "cancel", "abort": "cancel",
    "rm": "delete", "remove": "delete", "del": "delete",
    "restart": "rerun", "retry": "rerun", "again": "rerun",
    "create": "build", "gc": "prune", "cleanup": "clean", "doctor": "check",
    "run": "runs", "job": "runs", "jobs": "runs", "sweep": "sweeps", "environment": "env",
    "environments": "env", "envs": "env", "new": "init", "version": "--version",
}  # fmt: skip
"""What other tools call these nouns and verbs."""


def overview() -> str:
    """Return the commands with their verbs, a line each."""
    width = max(map(len, COMMANDS))
    lines: list[str] = []
    for noun, text in COMMANDS.items():
        verbs = f"  ({', '.join(VERBS[noun])})" if noun in VERBS else ""
        lines.append(f"  {noun.ljust(width)}  {text}{verbs}")
    return "\n".join(lines)


def unknown_command(words: Sequence[str]) -> str:
    """Return what is wrong with words that begin with no command, and what was meant."""
    name, *rest = words
    verb = _meant(name, {verb for verbs in VERBS.values() for verb in verbs})
    noun = _meant(name, COMMANDS)
    if name in {"python", "python3"} or name.endswith(".py"):
        hint = "A script is started by launcher script=FILE"
    elif verb is not None and (noun is None or verb == name):
        hint = _pointer([[each, verb, *rest] for each, verbs in VERBS.items() if verb in verbs])
    elif noun is not None:
        hint = _pointer([[noun, *rest]])
    elif SYNONYMS.get(name, "").startswith("-"):
        hint = _pointer([[SYNONYMS[name]]])
    else:
        hint = "An override has a '=', as in nodes=2"
    return f"{name}: no such command; expected one of {', '.join(COMMANDS)}. {hint}"


def unknown_verb(noun: str, words: Sequence[str]) -> str | None:
    """Return what is wrong with the words after a noun if they begin with no verb of it."""
    verbs = VERBS.get(noun)
    if verbs is None or (words and (words[0] in verbs or words[0] in {"-h", "--help"})):
        return None
    expected = f"expected one of {', '.join(verbs)}"
    if not words:
        return f"{noun}: {expected}, as in launcher {noun} {next(iter(verbs))}"
    name, *rest = words
    own = _meant(name, verbs)
    others = [[each, name, *rest] for each, their in VERBS.items() if name in their]
    hint = ""
    if "show" in verbs and (name == LATEST or any(map(str.isdigit, name))):  # an id
        hint = _pointer([[noun, "show", name, *rest]])
    elif others:
        hint = _pointer(others)
    elif own is not None:
        hint = _pointer([[noun, own, *rest]])
    return f"{noun} {name}: no such verb; {expected}. {hint}".rstrip()


def _meant(name: str, names: Iterable[str]) -> str | None:
    """Return the one of some names that another resembles or means."""
    known = list(names)
    for each in (name, SYNONYMS.get(name), "prune" if SYNONYMS.get(name) == "delete" else None):
        if each in known:
            return each
    hint = nearest(name, sorted(known))
    return hint.removeprefix("Did you mean ").removesuffix("?") or None


def _pointer(lines: Sequence[Sequence[str]]) -> str:
    import shlex  # noqa: PLC0415  # for a mistake only

    quoted = [f"`launcher {shlex.join(line)}`" for line in lines]
    return f"Did you mean {' or '.join(quoted)}?"
