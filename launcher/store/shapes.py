"""The shape of every record of the store: which fields it has, and what they may hold.

A check takes a field's name and its value and returns what is wrong. A field that is missing counts as null.
Fields that a check does not know may hold anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from launcher.errors import Problem
from launcher.spec import State

if TYPE_CHECKING:
    from collections.abc import Iterable

Check = Callable[[str, Any], Problem | None]

MOST = 1e15
"""Above any number that a record may hold: a time in seconds, a count, an id of a process."""

MOST_NODES = 1_000_000

STATES = tuple(str(state) for state in State if state is not State.DAMAGED)
ENDS = tuple(str(state) for state in State if state.terminal and state is not State.DAMAGED)


def _kind(expected: str, holds: Callable[[Any], bool]) -> Check:
    return lambda key, value: None if holds(value) else Problem(key, _short(value), expected)


def _short(value: Any) -> Any:
    """Return a value as a message shows it."""
    if isinstance(value, (dict, list)):
        return f"{type(cast('object', value)).__name__} of {len(cast('list[Any]', value))}"
    return value if len(repr(value)) < 60 else f"{repr(value)[:60]}…"  # noqa: PLR2004  # one line


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -MOST < value < MOST


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -MOST < value < MOST


def _one_of(names: Iterable[str]) -> Check:
    known = tuple(names)
    return _kind(f"one of {', '.join(known)}", lambda value: isinstance(value, str) and value in known)


def _optional(check: Check) -> Check:
    return lambda key, value: None if value is None else check(key, value)


def _items(check: Check) -> Check:
    def found(key: str, value: Any) -> Problem | None:
        if not isinstance(value, list):
            return Problem(key, _short(value), "a list")
        problems = (check(f"{key}[{at}]", item) for at, item in enumerate(cast("list[Any]", value)))
        return next(filter(None, problems), None)

    return found


def _values(check: Check) -> Check:
    def found(key: str, value: Any) -> Problem | None:
        if not isinstance(value, dict):
            return Problem(key, _short(value), "an object")
        items = cast("dict[str, Any]", value).items()
        return next(filter(None, (check(f"{key}.{name}", item) for name, item in items)), None)

    return found


def _fields(checks: Mapping[str, Check]) -> Check:
    def found(key: str, value: Any) -> Problem | None:
        if not isinstance(value, dict):
            return Problem(key, _short(value), "an object")
        fields = cast("dict[str, Any]", value)
        for name, check in checks.items():
            problem = check(f"{key}.{name}" if key else name, fields.get(name))
            if problem is not None:
                return problem
        return None

    return found


TEXT: Final = _kind("a text", lambda value: isinstance(value, str))
NUMBER: Final = _kind("a number", _is_number)
WHOLE: Final = _kind("a whole number", _is_whole)
COUNT: Final = _kind("a whole number from 0", lambda value: _is_whole(value) and value >= 0)
RECORD: Final = _kind("an object", lambda value: isinstance(value, dict))
FLAG: Final = _kind("true or false", lambda value: isinstance(value, bool))
NAME: Final = _kind("a name", lambda value: isinstance(value, str) and "/" not in value and "\0" not in value)
SIZE: Final = _kind(
    f"a whole number from 1 to {MOST_NODES}", lambda value: _is_whole(value) and 1 <= value <= MOST_NODES
)
RUN: Final = _kind(
    "NAME/NUMBER",
    lambda value: isinstance(value, str) and re.fullmatch(r"[^./\0][^/\0]*/[0-9]+", value) is not None,
)
TEXTS: Final = _items(TEXT)
STATE: Final = _one_of(STATES)
MAYBE_TEXT: Final = _optional(TEXT)
MAYBE_WHOLE: Final = _optional(WHOLE)


def _phase(key: str, value: Any) -> Problem | None:
    pair = cast("list[Any]", value)
    if not isinstance(value, list) or len(pair) != 2:  # noqa: PLR2004
        return Problem(key, _short(value), "a state and a time")
    return STATE(key, pair[0]) or NUMBER(key, pair[1])


PHASES: Final = _items(_phase)

OWNER: Final = _fields(
    {
        "pid": WHOLE, "started": MAYBE_WHOLE, "boot": MAYBE_TEXT, "host": MAYBE_TEXT,
        "pid_namespace": MAYBE_TEXT,
    }
)  # fmt: skip

CAUSE: Final = _fields(
    {
        "message": TEXT, "phase": MAYBE_TEXT, "kind": MAYBE_TEXT, "node": MAYBE_TEXT,
        "role": MAYBE_TEXT, "index": MAYBE_WHOLE, "rank": MAYBE_WHOLE, "exit_code": MAYBE_WHOLE,
        "signal": MAYBE_WHOLE, "last_lines": _optional(TEXTS),
    }
)  # fmt: skip

ENVIRONMENT: Final = _fields(
    {
        "key": MAYBE_TEXT, "python": MAYBE_TEXT, "prefix": MAYBE_TEXT, "image": MAYBE_TEXT,
        "archive": MAYBE_TEXT, "packages": _optional(TEXTS), "env": _optional(_values(TEXT)),
        "build": _optional(RECORD),
    }
)  # fmt: skip

PROCESS: Final = _fields(
    {
        "role": NAME, "index": COUNT, "rank": WHOLE,
        "node": _kind("a name or a number", lambda value: value is None or isinstance(value, (int, str))),
        "exit_code": MAYBE_WHOLE, "signal": MAYBE_WHOLE, "started": _optional(NUMBER),
        "ended": _optional(NUMBER),
    }
)  # fmt: skip

PLAN: Final = _fields(
    {
        "nodes": _optional(SIZE), "processes_per_node": _optional(SIZE), "mpi": _optional(RECORD),
        "processes": _optional(_items(PROCESS)),
    }
)  # fmt: skip

OPTIONS: Final = _optional(_fields({"kind": MAYBE_TEXT}))
"""A choice of a group, with its options."""

SNAPSHOT: Final = _fields({"digest": TEXT, "files": COUNT, "bytes": COUNT})

SUBMIT: Final = _fields(
    {
        "created": NUMBER,
        "user": MAYBE_TEXT, "host": MAYBE_TEXT, "cwd": MAYBE_TEXT,
        "overrides": _optional(TEXTS),
        "owner": _optional(OWNER),
        "phases": _optional(PHASES),
        "snapshot": _optional(SNAPSHOT),
        "git": _optional(_fields({"commit": MAYBE_TEXT, "branch": MAYBE_TEXT, "dirty": _optional(FLAG)})),
        "environment": _optional(ENVIRONMENT),
        "data": _optional(_values(TEXT)),
        "config": MAYBE_TEXT,
        "sweep": MAYBE_TEXT, "rerun_of": MAYBE_TEXT, "resumes": MAYBE_TEXT,
        "job": _optional(_fields({"kind": MAYBE_TEXT, "folder": TEXT, "index": MAYBE_WHOLE})),
    }
)  # fmt: skip

SPEC: Final = _fields(
    {
        "plan": _optional(PLAN),
        "name": MAYBE_TEXT, "source": MAYBE_TEXT, "script": MAYBE_TEXT,
        "command": _optional(TEXTS), "args": _optional(TEXTS),
        "resources": _optional(_fields({"nodes": MAYBE_WHOLE, "gpus_per_node": MAYBE_WHOLE})),
        "framework": OPTIONS, "distribution": OPTIONS, "environment": OPTIONS, "data": OPTIONS,
        "compute": OPTIONS,
        "retries": MAYBE_WHOLE,
        "env": _optional(_values(TEXT)), "tags": _optional(_values(TEXT)),
        "description": MAYBE_TEXT, "work": MAYBE_TEXT, "objective": MAYBE_TEXT,
        "app": _optional(RECORD),
    }
)  # fmt: skip

FROZEN: Final = _fields(
    {
        "name": TEXT, "source": TEXT, "command": TEXTS, "args": TEXTS, "resources": RECORD,
        "framework": RECORD,
        "distribution": RECORD, "environment": RECORD, "data": RECORD, "compute": RECORD, "retries": COUNT,
        "env": RECORD, "tags": RECORD, "description": TEXT, "work": TEXT, "snapshot_limit_mib": NUMBER,
    }
)  # fmt: skip
"""What a spec needs beyond `SPEC` to be run again."""

PREPARED: Final = _fields(
    {"key": TEXT, "python": TEXT, "prefix": TEXT, "packages": TEXTS, "env": _values(TEXT)}
)
"""What an environment needs beyond `ENVIRONMENT` to be used again."""

ATTEMPT: Final = _fields(
    {
        "owner": _optional(OWNER), "phases": PHASES, "nodes": _optional(_items(RECORD)),
        "processes": _optional(_items(PROCESS)), "outcome": _optional(_one_of(ENDS)),
        "cause": _optional(CAUSE),
    }
)  # fmt: skip

END: Final = _fields(
    {"state": _one_of(ENDS), "time": NUMBER, "attempt": MAYBE_WHOLE, "cause": _optional(CAUSE)}
)

CANCEL: Final = _fields({"by": MAYBE_TEXT, "host": MAYBE_TEXT, "time": _optional(NUMBER)})

SWEEP: Final = _fields(
    {
        "created": NUMBER, "id": TEXT, "user": TEXT, "host": TEXT, "cwd": TEXT,
        "line": _optional(_fields({"overrides": TEXTS, "conf": MAYBE_TEXT, "primary": MAYBE_TEXT})),
        "max_parallel": MAYBE_WHOLE,
        "members": _items(_fields({"run": RUN, "overrides": TEXTS, "config": TEXT})),
    }
)  # fmt: skip

RESUMPTION: Final = _fields({"owner": OWNER, "members": _items(_fields({"index": COUNT, "run": RUN}))})

SHAPES: Final[Mapping[str, Check]] = {
    "submit.json": SUBMIT,
    "spec.json": SPEC,
    "state.json": ATTEMPT,
    "lost.json": _fields({"time": NUMBER}),
    "environment.json": ENVIRONMENT,
    "cancel.json": CANCEL,
    "end.json": END,
    "tags.json": _fields({"tags": _optional(_values(TEXT))}),
    "return.json": _fields({"lost": MAYBE_TEXT}),
    "sweep.json": SWEEP,
}
"""By the name of the file."""


def shape_of(name: str) -> Check:
    """Return the check of a record, by the name of its file."""
    if name.startswith("resume-"):
        return RESUMPTION
    return SHAPES.get(name, RECORD)
