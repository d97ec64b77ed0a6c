"""What a run is: a pure fold over the records in its folder, and the end of runs that nobody ends.

    end.json → else cancel.json → else the newest attempt's last phase → else submit.json's last phase

A run with a record that cannot be used, or that a newer version wrote, is Damaged: its cause names file and
field, and nothing is concluded from the rest.
"""

from __future__ import annotations

import os
from _blake2 import blake2b  # hashlib loads OpenSSL, 4 ms
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from launcher.agent.base import disk_reserve
from launcher.errors import NotFoundError
from launcher.spec import SCHEMA, State
from launcher.store import records

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from launcher.paths import RunFolder
    from launcher.store.records import Damage, Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Why a run failed or was canceled, as precisely as is known."""

    message: str
    """One sentence."""
    phase: str = ""
    kind: str = ""
    node: str | None = None
    role: str | None = None
    index: int | None = None
    rank: int | None = None
    exit_code: int | None = None
    signal: int | None = None
    last_lines: tuple[str, ...] = ()

    @property
    def process(self) -> str:
        """The process to blame, `worker-1`; empty if there is none."""
        return "" if self.role is None else f"{self.role}-{self.index}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A state that a run entered."""

    state: State
    time: float
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run as its records tell it at this moment."""

    folder: RunFolder
    state: State
    cause: Cause | None
    phases: tuple[Phase, ...]
    """Those of the submit, then those of the newest attempt."""
    created: float
    started: float | None
    """When the newest attempt entered Running."""
    ended: float | None
    submit: Record
    spec: Record
    tags: Mapping[str, str]
    attempts: tuple[int, ...] = ()
    nodes: tuple[Record, ...] = ()
    """Of the newest attempt, as are the processes."""
    processes: tuple[Record, ...] = ()
    canceled_by: Record | None = None
    """The request, where somebody asked for the end."""
    damage: tuple[Damage, ...] = ()
    """Records that cannot be used; then the run is Damaged."""

    @property
    def id(self) -> str:
        """`mnist/42`."""
        return self.folder.id

    @property
    def name(self) -> str:
        """The experiment."""
        return self.folder.root.parent.name

    @property
    def number(self) -> int:
        """The number within the experiment."""
        return int(self.folder.root.name)

    def seconds(self, now: float) -> float | None:
        """Return how long the newest attempt has been running, or ran."""
        return None if self.started is None else max(0.0, (self.ended or now) - self.started)


@dataclass(frozen=True, slots=True)
class Records:
    """The records of a run folder as they were read, before they are judged."""

    submit: Record
    end: Record | None
    cancel: Record | None
    attempts: tuple[int, ...]
    attempt: Record | None
    """State of the newest attempt."""
    lost: Record | None = None
    """Where a scheduler requeued the newest attempt's job without a word of its agent."""
    damage: tuple[Damage, ...] = ()
    """Of these, in place of which there is nothing here."""

    def owners(self) -> tuple[Record, ...]:
        """Return the processes of which one must live for the run to go on; none for a scheduler's job."""
        if self.submit.get("job"):
            return ()
        holders = [self.submit]
        if self.attempt is not None and self.attempt.get("outcome") is None:
            holders.append(self.attempt)
        return tuple(holder["owner"] for holder in holders if isinstance(holder.get("owner"), dict))


_unwritten: dict[RunFolder, Record] = {}
"""Last words that a full store did not take; this process tells them all the same."""


def remember_end(folder: RunFolder, word: Record) -> None:
    """Let `read_run` tell a last word that could not be written."""
    _unwritten[folder] = word


def read_records(folder: RunFolder) -> Records:
    """Read what decides about the state.

    Raises:
        NotFoundError: this is no run, or no longer.
    """
    # end.json is read last: who finds the owner dead after that has seen its last word.
    reader = _Reader()
    submit = reader.load(folder.submit)
    attempts = tuple(folder.attempts())
    above = folder.root / "attempts"
    if not attempts and os.path.lexists(above) and not above.is_dir():
        reader.damage.append(records.Damage(above, "", "it is not a folder"))
    attempt = reader.load(folder.attempt_state(attempts[-1])) if attempts else None
    lost = reader.load(folder.attempt_lost(attempts[-1])) if attempts and (submit or {}).get("job") else None
    cancel = reader.load(folder.cancel)
    end = reader.load(folder.end) or _unwritten.get(folder)
    if submit is None and not reader.damage:
        if end is None:
            raise _missing_run(folder)
        reader.miss(folder.submit)  # a run that is deleted loses it just before the rest
    number = None if end is None else end.get("attempt")
    if number is not None and "config" in (submit or {}) and attempt is None and not reader.damage:
        reader.miss(folder.attempt_state(number))
    return Records(submit or {}, end, cancel, attempts, attempt, lost, tuple(reader.damage))


class _Reader:
    """Reads records and keeps what is wrong with them."""

    def __init__(self, damage: Iterable[Damage] = ()) -> None:
        self.damage: list[Damage] = list(damage)

    def load(self, path: Path) -> Record | None:
        """Return a record; None if there is none that can be used."""
        found = records.load(path)
        if isinstance(found, records.Damage):
            self.damage.append(found)
            return None
        return found

    def found(self, path: Path) -> bool:
        """Return whether a record was found to be damaged."""
        return any(each.path == path for each in self.damage)

    def miss(self, path: Path) -> None:
        """Note a record that a run must have."""
        self.damage.append(records.Damage(path, "", "it is missing"))


def read_run(folder: RunFolder) -> Run:
    """Return the run in a folder; one whose processes are all gone is ended first.

    Raises:
        NotFoundError: this is no run, or no longer.
    """
    found = read_records(folder)
    while found.end is None and not found.damage and _is_lost(found):
        again = read_records(folder)  # the run may have ended, or been handed over, meanwhile
        if again.end is None and not again.damage and again.owners() == found.owners():
            return _combine(folder, again, _end(folder, _last_word(folder, again)))
        found = again
    return _combine(folder, found, found.end)


def _end(folder: RunFolder, word: Record) -> Record:
    """Write a last word; return the one that holds, also in a store that cannot be written."""
    try:
        records.create(folder.end, word)
    except OSError:
        return word
    return records.read(folder.end) or word


def _is_lost(found: Records) -> bool:
    owners = found.owners()
    return bool(owners) and all(records.alive(owner) is False for owner in owners)


def _last_word(folder: RunFolder, found: Records) -> dict[str, Any]:
    """Return the end of a run whose processes are gone: the attempt's outcome if it left one."""
    # One that found no room for its record is no attempt that the end could name.
    attempt = found.attempts[-1] if found.attempts and found.attempt is not None else None
    time = records.now()
    if found.attempt is not None and found.attempt.get("outcome"):
        state, cause = found.attempt["outcome"], found.attempt.get("cause")
        time = max((phase.time for phase in parse_phases(found.attempt)), default=time)
    else:
        phase = _state_of(found)
        early = not found.attempts and phase in {State.NOT_STARTED, State.PREPARING}
        kind = "launcher_lost" if early else "supervisor_lost"
        who = kind.removesuffix("_lost")
        state = State.FAILED if found.cancel is None else State.CANCELED
        message = f"the {who} of this run is gone, it ended without a word while the run was {phase}"
        full = disk_reserve.complaint(str(folder.root))
        message = f"{message}; {full}" if full else message
        cause = {"phase": str(phase), "kind": kind, "message": message}
    return {
        "schema": SCHEMA,
        "state": str(state),
        "time": time,
        "attempt": attempt,
        "cause": cause,
    }


def _state_of(found: Records) -> State:
    """Return the last phase, whatever was asked for."""
    phases = _phases(found)
    return phases[-1].state if phases else State.NOT_STARTED


def _phases(found: Records) -> tuple[Phase, ...]:
    waits = (Phase(state=State.QUEUED, time=float(found.lost["time"])),) if found.lost else ()
    return (*parse_phases(found.submit), *parse_phases(found.attempt or {}), *waits)


def parse_phases(holder: Record) -> tuple[Phase, ...]:
    """Return the phases of a submit or attempt record."""
    pairs = cast("Iterable[tuple[str, float]]", holder.get("phases") or ())
    return tuple(Phase(state=State(name), time=float(time)) for name, time in pairs)


def parse_cause(cause: Record | None) -> Cause | None:
    """Return the cause of a record; fields that this version does not know are dropped."""
    if not cause:
        return None
    named = Cause.__dataclass_fields__
    known: dict[str, Any] = {key: cause[key] for key in named if cause.get(key) is not None}
    known["last_lines"] = tuple(str(line) for line in cause.get("last_lines") or ())
    known.setdefault("message", "")
    return Cause(**known)


def _combine(folder: RunFolder, found: Records, end: Record | None) -> Run:
    phases = _phases(found)
    state = _state_of(found)
    if end is not None:
        state = State(end["state"])
    elif found.cancel is not None:
        state = State.CANCEL_REQUESTED
    attempt = found.attempt or {}
    own = parse_phases(attempt)
    cause = parse_cause((end or attempt).get("cause"))
    reader = _Reader(found.damage)
    spec = reader.load(folder.spec)
    if spec is None and "config" in found.submit and not reader.found(folder.spec):
        reader.miss(folder.spec)  # versions without that field are not judged by what is missing
    spec = spec or {}
    tags = (reader.load(folder.tags) or {}).get("tags", spec.get("tags"))
    if spec.get("app"):
        reader.load(folder.returned)
    config = config_damage(folder, found.submit)
    if config is not None and "config" in found.submit:
        reader.damage.append(config)
    if reader.damage:
        if found.submit and not folder.submit.exists():  # deleted while it was read
            raise _missing_run(folder)
        state = State.DAMAGED
        cause = Cause(kind="damaged", message="; ".join(map(str, reader.damage)))
    return Run(
        folder=folder,
        state=state,
        cause=cause,
        phases=phases,
        created=float(found.submit.get("created") or _change_time(folder)),
        started=next((phase.time for phase in own if phase.state is State.RUNNING), None),
        ended=float(end["time"]) if end is not None else None,
        submit=found.submit,
        spec=spec,
        tags=tags or {},
        attempts=found.attempts,
        nodes=tuple(attempt.get("nodes") or ()),
        processes=tuple(attempt.get("processes") or ()),
        canceled_by=found.cancel,
        damage=tuple(reader.damage),
    )


def text_digest(text: bytes) -> str:
    """Return what the record of a run keeps of its frozen configuration."""
    return blake2b(text, digest_size=16).hexdigest()


def config_damage(folder: RunFolder, submit: Record) -> Damage | None:
    """Return what is wrong with the frozen configuration of a run."""
    try:
        text = folder.config.read_bytes()
    except FileNotFoundError:
        return records.Damage(folder.config, "", "it is missing")
    except OSError as error:
        return records.Damage(folder.config, "", f"it cannot be read: {error.strerror}")
    altered = submit.get("config") not in {None, text_digest(text)}
    return records.Damage(folder.config, "", "it was altered after it was frozen") if altered else None


def _missing_run(folder: RunFolder) -> NotFoundError:
    return NotFoundError(f"{folder.id}: there is no such run in the store {folder.root.parents[2]}")


def _change_time(folder: RunFolder) -> float:
    """Return a time for a run whose own is not known."""
    try:
        return folder.root.stat().st_mtime
    except OSError:
        return 0.0
