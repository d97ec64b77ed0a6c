"""The commands beside launching: nouns and their verbs, from which help, pointers and completion are made."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from launcher.errors import nearest
from launcher.paths import LATEST
from launcher.tables import align

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


class Command(NamedTuple):
    """A row of the table: a noun with its verbs, a verb, or a command that has no verbs.

    Its code is in `launcher.cli.NOUN_VERB`, or in `launcher.cli.NAME` if there are no verbs:
    `run(options)`, which returns the exit code, and `add_options(parser)` if the row does not have them all.
    """

    help: str
    """In the list of commands, or of verbs."""
    operand: str = ""
    """What it takes beside flags: one of `OPERANDS`, or a word that only its file and completion know."""
    title: str = ""
    """What its own help begins with, if that is not `help`."""
    acts: bool = False
    """Whether it does more than print: its exit code then reports that, even if standard output is closed."""
    raw: bool = False
    """Whether `run` takes the words and not the options, because it parses them itself."""
    abbreviates: bool = False
    """Whether the beginning of a flag stands for it, here and in the verbs."""
    store: bool = False
    """Whether all its verbs have `--store` and `--json`."""
    verbs: Mapping[str, Command] = MappingProxyType({})


_RUNS = {
    "list": Command(
        "the newest runs; filters: state=failed name=mnist tag=KEY[=VALUE] since=2h|3d|DATE sweep=ID",
        "filters",
    ),
    "show": Command("all about one run", "run"),
    "logs": Command("what a process of a run printed", "run"),
    "files": Command("the files that a run left", "run"),
    "download": Command("copy files of a run", "run", acts=True),
    "wait": Command("wait until runs are over; exit code 1 if one did not complete", "runs", acts=True),
    "cancel": Command("end runs", "runs", acts=True),
    "rerun": Command("run the frozen source, config and environment of a run again", "run", acts=True),
    "delete": Command("remove runs that are over; their numbers are never used again", "runs", acts=True),
}
_SWEEPS = {
    "list": Command("the newest sweeps, and how many of their members are in which state"),
    "show": Command("all about one sweep, with a line for each member", "sweep"),
    "wait": Command(
        "wait until all members are over; exit code 1 if one did not complete", "sweep", acts=True
    ),
    "cancel": Command("end all members, or those with these numbers", "sweep", acts=True),
    "resume": Command(
        "run the members that failed, were canceled or never started, as they are frozen", "sweep", acts=True
    ),
}
_COMPUTE = {
    "check": Command(
        "what works from here, and what to do about the rest; exit code 1 if something is bad", "launch"
    ),
    "clean": Command(
        "remove what killed supervisors left: containers, networks, folders in TMPDIR", acts=True
    ),
}
_ENV = {
    "list": Command("environments, how large they are, when each was used last and by how many runs"),
    "show": Command("all about one: packages, place, log of its build, runs", "key"),
    "build": Command(
        "build the environment of a launch, with the same words, without launching",
        "launch",
        acts=True,
        raw=True,
    ),
    "prune": Command(
        "remove builds that did not finish, and what was not used for long and no open run needs", acts=True
    ),
}
COMMANDS: Final = {
    "runs": Command(
        "list, show, follow, cancel, rerun and delete runs",
        title="Runs in the store.",
        abbreviates=True,
        store=True,
        verbs=_RUNS,
    ),
    "sweeps": Command(
        "list, show, wait for, cancel and resume sweeps",
        title="Sweeps in the store.",
        store=True,
        verbs=_SWEEPS,
    ),
    "compute": Command(
        "check a compute target: what works from here; clean up after crashes",
        title="Compute targets, looked at and cleaned.",
        verbs=_COMPUTE,
    ),
    "env": Command(
        "list, show, build and prune environments: packages and images",
        title="Environments of this machine.",
        store=True,
        verbs=_ENV,
    ),
    "init": Command(
        "write a small project that runs at once",
        title="Write a small project that runs at once.",
        acts=True,
        abbreviates=True,
    ),
    "completion": Command(
        "print a script that completes commands, run ids and overrides in your shell",
        "shell",
        title="Print a script that completes commands, run ids, filters and overrides.",
        raw=True,
        abbreviates=True,
    ),
}
"""All that the command line knows beside launches."""

OPERANDS: Final[dict[str, dict[str, Any]]] = {
    "filters": {"nargs": "*", "metavar": "FILTER", "help": "see above"},
    "key": {"metavar": "KEY", "help": "its key, or the beginning of that"},
    "run": {"help": "NAME/NUMBER, NAME/latest or latest"},
    "runs": {
        "nargs": "+",
        "metavar": "RUN",
        "help": "NAME/NUMBER, NAME/latest or latest; the id of a sweep means all its runs",
    },
    "sweep": {"metavar": "ID", "help": "its id, the beginning of that, or latest"},
}
"""What verbs of several files take, as arguments of `ArgumentParser.add_argument`."""

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


HELP_FLAGS: Final = ("-h", "--help")


def overview() -> str:
    """Return the commands with their verbs, a line each."""
    rows = [
        (name, command.help + (f"  ({', '.join(command.verbs)})" if command.verbs else ""))
        for name, command in sorted(COMMANDS.items())
    ]
    return "\n".join(f"  {line}" for line in align(rows))


def unknown_command(words: Sequence[str]) -> str:
    """Return what is wrong with words that begin with no command, and what was meant."""
    name, *rest = words
    verb = _closest_name(name, {verb for command in COMMANDS.values() for verb in command.verbs})
    noun = _closest_name(name, COMMANDS)
    if name in {"python", "python3"} or name.endswith(".py"):
        hint = "A script is started by launcher script=FILE"
    elif verb is not None and (noun is None or verb == name):
        hint = _pointer([[each, verb, *rest] for each in _nouns(verb)])
    elif noun is not None:
        hint = _pointer([[noun, *rest]])
    elif SYNONYMS.get(name, "").startswith("-"):
        hint = _pointer([[SYNONYMS[name]]])
    else:
        hint = "An override has a '=', as in nodes=2"
    return f"{name}: no such command; expected one of {', '.join(sorted(COMMANDS))}. {hint}"


def unknown_verb(noun: str, words: Sequence[str]) -> str | None:
    """Return what is wrong with the words after a noun if they begin with no verb of it."""
    verbs = COMMANDS[noun].verbs
    if not verbs or (words and (words[0] in verbs or words[0] in HELP_FLAGS)):
        return None
    expected = f"expected one of {', '.join(verbs)}"
    if not words:
        return f"{noun}: {expected}, as in launcher {noun} {next(iter(verbs))}"
    name, *rest = words
    own = _closest_name(name, verbs)
    others = [[each, name, *rest] for each in _nouns(name)]
    hint = ""
    if "show" in verbs and (name == LATEST or any(map(str.isdigit, name))):  # an id
        hint = _pointer([[noun, "show", name, *rest]])
    elif others:
        hint = _pointer(others)
    elif own is not None:
        hint = _pointer([[noun, own, *rest]])
    return f"{noun} {name}: no such verb; {expected}. {hint}".rstrip()


def _nouns(verb: str) -> list[str]:
    return [noun for noun, command in COMMANDS.items() if verb in command.verbs]


def _closest_name(name: str, names: Iterable[str]) -> str | None:
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
