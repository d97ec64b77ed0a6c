"""Sweeps in the store: what was asked for, its members, and the runs that took the place of others.

    sweep.json                who, when, where, the command line, the members; written by the launcher once
    resume-1.json, …          each by one `sweeps resume`: which run is a member's from then on

A member is the newest of its runs that was recorded. Its state is that of the run, or `Lost`: recorded,
never started, and whoever was to hand it over is gone.
"""

from __future__ import annotations

import os
import socket
from _blake2 import blake2b  # hashlib loads OpenSSL, 4 ms
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from launcher.errors import DamageError, NotFoundError, StoreError, nearest
from launcher.paths import LATEST, RunFolder, StoreFolder, SweepFolder
from launcher.store import records

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from launcher.store.records import Damage, Record
    from launcher.store.run_state import Records

LOST = "Lost"
DELETED = "Deleted"
PENDING = "NotStarted"
DAMAGED = "Damaged"
AGAIN = frozenset({"Failed", "Canceled", LOST})
"""States of members that `resume` runs."""
OVER = AGAIN | {"Completed", DELETED, DAMAGED}
"""States that no command needs to wait for."""

MAY_DIFFER = ("wait", "dry_run", "store")
"""Keys of a configuration that are about the launch and not about the run."""


class Member(NamedTuple):
    """One member of a sweep, as its records tell at this moment."""

    place: int
    """Its number in the sweep, from 0; a tuple has an `index` already."""
    run: RunFolder
    overrides: tuple[str, ...]
    config: str
    """Digest of the frozen configuration."""
    replaced: tuple[str, ...] = ()
    """Ids of its earlier runs, oldest first."""
    claimed: bool = False
    """A `sweeps resume` that is alive is about to run it."""


class Sweep(NamedTuple):
    """A sweep as its records tell at this moment."""

    folder: SweepFolder
    record: Record
    members: tuple[Member, ...]
    resumptions: int
    damage: Damage | None = None
    """Of a record of the sweep; then it has no members here, and its record has nothing but the id."""

    @property
    def names(self) -> list[str]:
        """The experiments that its runs are numbered under."""
        return sorted({member.run.root.parent.name for member in self.members})

    @property
    def overrides(self) -> list[str]:
        """Those of the command line; none where a sweeper chose the members."""
        line: Mapping[str, Any] = self.record.get("line") or {}
        return list(line.get("overrides", ()))


class NewMember(NamedTuple):
    """What is recorded of a member when its sweep begins."""

    run: RunFolder
    overrides: Sequence[str]
    config: str
    """The frozen configuration itself."""
    snapshot: str


def create_sweep(
    folder: SweepFolder,
    members: Iterable[NewMember],
    line: Mapping[str, Any] | None,
    max_parallel: int | None,
) -> None:
    """Record a sweep whose runs are recorded; `line` is what to compose it from again.

    Raises:
        StoreError: the store cannot be written.
    """
    record = {
        **_signature(folder.id),
        "cwd": str(Path.cwd()),
        "line": line,
        "max_parallel": max_parallel,
        "members": [
            {
                "run": member.run.id,
                "overrides": list(member.overrides),
                "config": config_digest(member.config),
                "snapshot": member.snapshot,
            }
            for member in members
        ],
    }
    try:
        folder.root.mkdir(0o700, parents=True, exist_ok=True)
        records.write(folder.record, record)
    except OSError as error:
        raise StoreError(f"sweep {folder.id}: cannot be recorded: {error}") from error


def claim(sweep: Sweep, runs: Mapping[int, RunFolder]) -> None:
    """Record which runs are those of members from now on; of two resumptions at once, one gets them.

    Raises:
        StoreError: somebody else was faster, or the store cannot be written.
    """
    number = sweep.resumptions + 1
    old = {member.place: member.run for member in sweep.members}
    record = {
        **_signature(sweep.folder.id),
        "owner": records.owner(),
        "members": [
            {"index": index, "run": run.id, "resumes": old[index].id if run != old[index] else None}
            for index, run in runs.items()
        ],
    }
    try:
        first = records.create(sweep.folder.resumption(number), record)
    except OSError as error:
        raise StoreError(f"sweep {sweep.folder.id}: cannot be recorded: {error}") from error
    if not first:
        raise StoreError(f"sweep {sweep.folder.id}: somebody else resumes it at this moment; look again")


def _signature(name: str) -> dict[str, Any]:
    from launcher.spec import SCHEMA  # noqa: PLC0415  # what only reads starts in half the time
    from launcher.store.runs import user  # noqa: PLC0415

    return {
        "schema": SCHEMA,
        "id": name,
        "created": records.now(),
        "user": user(),
        "host": socket.gethostname(),
    }


def frozen_text(config: str) -> str:
    """Return a configuration without what is about the launch only."""
    kept: list[str] = []
    skipping = False
    for line in config.splitlines():
        skipping = line.startswith(tuple(f"{key}:" for key in MAY_DIFFER)) or (
            skipping and line.startswith(" ")  # YAML folds long values
        )
        if not skipping:
            kept.append(line)
    return "\n".join(kept)


def config_digest(config: str) -> str:
    """Return what two configurations share if they make the same run."""
    return blake2b(frozen_text(config).encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


def find_sweep(store: StoreFolder, text: str) -> Sweep:
    """Return the sweep of an id, of the beginning of one, or `latest`.

    Raises:
        NotFoundError: there is none, or several begin so.
        DamageError: a record of it cannot be used.
    """
    names = _names(store)
    if text == LATEST:
        newest = list_sweeps(store, 1)
        found = [newest[0].folder.id] if newest else []
    else:
        found = [text] if text in names else [name for name in names if text and name.startswith(text)]
    sweep = read_sweep(store.sweep(found[0])) if len(found) == 1 else None
    if sweep is not None and sweep.damage is not None:
        hint = "`python -m launcher runs list` shows its runs, which are as they were"
        raise DamageError(f"sweep {sweep.folder.id}: {sweep.damage}. {hint}")
    if sweep is not None:
        return sweep
    if len(found) > 1:
        raise NotFoundError(
            f"{text}: {len(found)} sweeps begin so ({', '.join(found[:5])}); give more of one"
        )
    hint = nearest(text, names) or "`python -m launcher sweeps list` shows all, `runs list sweep=ID` its runs"
    raise NotFoundError(f"{text}: the store {store.root} has no record of such a sweep. {hint}")


def list_sweeps(store: StoreFolder, limit: int | None) -> list[Sweep]:
    """Return the newest sweeps, newest first; no limit where it is None."""
    times: list[tuple[float, SweepFolder]] = []
    for folder in map(store.sweep, _names(store)):
        record = records.load(folder.record)
        if isinstance(record, records.Damage):
            times.append((folder.root.stat().st_mtime, folder))
        elif record is not None:
            times.append((float(record["created"]), folder))
    times.sort(reverse=True)
    found = [read_sweep(folder) for _, folder in times[:limit]]
    return [sweep for sweep in found if sweep is not None]


def _names(store: StoreFolder) -> list[str]:
    try:
        return sorted(os.listdir(store.sweeps))
    except (FileNotFoundError, NotADirectoryError):
        return []


def read_sweep(folder: SweepFolder) -> Sweep | None:
    """Return the sweep in a folder, or None where none was recorded."""
    record = records.load(folder.record)
    if record is None:
        return None
    if isinstance(record, records.Damage):
        return Sweep(folder, {"id": folder.id}, (), 0, record)
    runs = StoreFolder(folder.root.parents[1]).runs
    members: list[Member] = [
        Member(index, RunFolder(runs / each["run"]), tuple(each["overrides"]), each["config"])
        for index, each in enumerate(record["members"])
    ]
    count = 0
    while (resumption := records.load(folder.resumption(count + 1))) is not None:
        count += 1
        damage = _resumption_damage(resumption, folder.resumption(count), len(members))
        if damage is not None or isinstance(resumption, records.Damage):
            return Sweep(folder, {"id": folder.id}, (), 0, damage)
        living = records.alive(resumption["owner"]) is not False
        entries: list[dict[str, Any]] = resumption["members"]
        for entry in entries:
            run = RunFolder(runs / entry["run"])
            if not (living or run.submit.exists()):
                continue  # its resumption was killed before it was recorded: a hole
            member = members[int(entry["index"])]
            replaced = (*member.replaced, *([member.run.id] if run != member.run else []))
            members[member.place] = member._replace(run=run, replaced=replaced, claimed=living)
    later = [name for name in os.listdir(folder.root) if name == f"resume-{count + 2}.json"]
    if later:
        damage = records.Damage(
            folder.resumption(count + 1), "", f"it is missing, although {later[0]} exists"
        )
        return Sweep(folder, {"id": folder.id}, (), 0, damage)
    return Sweep(folder, record, tuple(members), count)


def _resumption_damage(record: Record | Damage, path: Path, members: int) -> Damage | None:
    if isinstance(record, records.Damage):
        return record
    wrong = [entry["index"] for entry in record["members"] if entry["index"] >= members]
    return (
        records.Damage(path, "members", f"got {wrong[0]}; expected at most {members - 1}") if wrong else None
    )


def state_of(member: Member) -> str:
    """Return the state of a member; unlike `read_run`, this ends no run that can still be resumed."""
    end = records.read(member.run.end)
    if end is not None:
        return str(end["state"])
    from launcher.store.run_state import read_records, read_run  # noqa: PLC0415  # 30 ms, see `index._put`

    try:
        found = read_records(member.run)
        if not never_started(found):
            return str(read_run(member.run).state)
        state = LOST
    except NotFoundError:
        state = DELETED
    return PENDING if member.claimed else state


def open_members(sweep: Sweep) -> list[Member]:
    """Return the members whose last word was not written yet."""
    return [member for member in sweep.members if not member.run.end.exists()]


def never_started(found: Records) -> bool:
    """Tell whether a run was recorded, and its launcher or supervisor is gone before it began."""
    if (
        found.damage
        or found.end is not None
        or found.cancel is not None
        or found.attempts
        or found.submit.get("job")
    ):
        return False
    owners = found.owners()
    return bool(owners) and all(records.alive(owner) is False for owner in owners)
