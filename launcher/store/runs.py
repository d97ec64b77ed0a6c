"""Runs in the store: numbers that are never used twice, and the records of the submitting side."""

from __future__ import annotations

import os
import pwd
import socket
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from launcher.errors import DamageError, LauncherError, NotFoundError, StoreError
from launcher.spec import SCHEMA, RunSpec, State, plain
from launcher.store import records
from launcher.store.folders import remove_tree, unusable
from launcher.store.ownership import PRIVATE, check_store
from launcher.store.run_state import Cause, Phase, Run, config_damage, read_run, remember_end, text_digest
from launcher.store.shapes import FROZEN, SNAPSHOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from launcher.paths import RunFolder, StoreFolder
    from launcher.plan import Plan
    from launcher.store.git import Git
    from launcher.store.snapshots import Snapshot

__all__ = [
    "Cause",
    "Phase",
    "Run",
    "create_run",
    "delete",
    "enter",
    "environment_of",
    "finish",
    "give_back",
    "read_frozen",
    "read_run",
    "request_cancel",
    "reserve",
    "update_submit",
]


def reserve(store: StoreFolder, name: str, count: int = 1) -> list[RunFolder]:
    """Take the next free numbers of an experiment; a number that no run comes to use is a hole.

    Raises:
        StoreError: the store cannot be written, or another user can write to it.
    """
    if not name or name.startswith(".") or "/" in name or "\0" in name:
        raise StoreError(f"name: got {name!r}; expected one folder's name that does not start with a dot")
    check_store(store)
    folders: list[RunFolder] = []
    try:
        for folder in (store.root, store.runs, store.experiment(name)):
            folder.mkdir(PRIVATE, parents=True, exist_ok=True)
        if not store.identity.exists():
            identity = {"schema": SCHEMA, "id": os.urandom(16).hex(), "created": records.now()}
            records.create(store.identity, identity)
        number = max(store.numbers(name), default=0)
        while len(folders) < count:
            number += 1
            folder = store.run(name, number)
            try:
                folder.root.mkdir(PRIVATE)
            except FileExistsError:  # another launch was faster
                continue
            folders.append(folder)
    except OSError as error:
        give_back(folders)
        raise unusable(store, error) from error
    return folders


def give_back(folders: Iterable[RunFolder]) -> None:
    """Remove reserved folders that no run came to use; one that holds a run stays."""
    for folder in folders:
        with suppress(OSError):
            folder.root.rmdir()


def create_run(  # noqa: PLR0913  # the record has that many fields
    store: StoreFolder,
    spec: RunSpec,
    plan: Plan,
    *,
    config: str,
    snapshot: Snapshot,
    overrides: Sequence[str] = (),
    git: Git | None = None,
    sweep: str | None = None,
    rerun_of: str | None = None,
    resumes: str | None = None,
    folder: RunFolder | None = None,
) -> RunFolder:
    """Record a run, in a folder from `reserve` or in the next one; it exists once submit.json does.

    Raises:
        StoreError: the store cannot be written.
    """
    folder = folder or reserve(store, spec.name)[0]
    text = config.encode("utf-8", "surrogateescape")
    submit: dict[str, Any] = {
        "schema": SCHEMA,
        "id": folder.id,
        "created": records.now(),
        "user": user(),
        "host": socket.gethostname(),
        "cwd": str(Path.cwd()),
        "overrides": list(overrides),
        "owner": records.owner(),
        "phases": [],
        "config": text_digest(text),
        "snapshot": {"digest": snapshot.digest, "files": snapshot.files, "bytes": snapshot.bytes},
        "git": plain(git),
        "environment": None,
        "data": {},
        "sweep": sweep,
        "rerun_of": rerun_of,
        "resumes": resumes,
        "job": None,
    }
    try:
        # Nothing before submit.json is a run, so these need not appear whole.
        frozen = {"schema": SCHEMA, "id": folder.id, **plain(spec), "plan": plain(plan)}
        folder.spec.write_bytes(records.seal(frozen))
        folder.config.write_bytes(text)
        # Relative, so that a store can be moved.
        folder.source.symlink_to(os.path.relpath(snapshot.path, folder.root))
        records.write(folder.submit, submit)
    except OSError as error:
        for path in (folder.spec, folder.config, folder.source):
            records.remove(path)
        give_back([folder])
        raise unusable(store, error) from error
    return folder


def update_submit(folder: RunFolder, **changes: Any) -> dict[str, Any]:
    """Change fields of submit.json, whose one writer is the launcher, then the supervisor.

    Raises:
        NotFoundError: the run was deleted meanwhile.
        DamageError: its record was damaged meanwhile.
    """
    submit = records.load(folder.submit)
    if submit is None:
        raise NotFoundError(f"{folder.id}: this run was deleted while it was being launched")
    if isinstance(submit, records.Damage):
        raise DamageError(f"{folder.id}: {submit}")
    submit.update(plain(changes))
    records.write(folder.submit, submit)
    return submit


class Frozen(NamedTuple):
    """What a run is started from."""

    submit: dict[str, Any]
    spec: dict[str, Any]
    config: str


def read_frozen(folder: RunFolder) -> Frozen:
    """Return what a run was started from, whole.

    Raises:
        NotFoundError: there is no such run.
        DamageError: a record of it cannot be used.
    """
    submit, spec = records.load(folder.submit), records.load(folder.spec)
    if submit is None:
        raise NotFoundError(f"{folder.id}: there is no such run in the store {folder.root.parents[2]}")
    if isinstance(submit, records.Damage):
        raise DamageError(f"{folder.id}: {submit}")
    if spec is None or isinstance(spec, records.Damage):
        raise DamageError(f"{folder.id}: {spec or records.Damage(folder.spec, '', 'it is missing')}")
    damage = (
        records.damage_of(folder.spec, FROZEN("", spec))
        or records.damage_of(folder.submit, SNAPSHOT("snapshot", submit.get("snapshot")))
        or config_damage(folder, submit)
    )
    if damage is not None:
        raise DamageError(f"{folder.id}: {damage}")
    return Frozen(submit, spec, folder.config.read_text("utf-8", "surrogateescape"))


def environment_of(folder: RunFolder) -> dict[str, Any] | None:
    """Return the environment that a run had, as its launcher or its newest job recorded it, or None."""
    found = (records.read(folder.submit) or {}).get("environment")
    if found is None or not found.get("build"):
        return found
    built = [records.read(folder.attempt_environment(number)) for number in folder.attempts()]
    return next((each for each in reversed(built) if each is not None and "error" not in each), None)


def enter(folder: RunFolder, state: State, **changes: Any) -> dict[str, Any]:
    """Add a phase to submit.json, with other changes.

    Raises:
        NotFoundError: the run was deleted meanwhile.
    """
    submit = records.read(folder.submit) or {}
    phases = [*submit.get("phases", ()), [str(state), records.now()]]
    return update_submit(folder, phases=phases, **changes)


def finish(
    folder: RunFolder, state: State, cause: Mapping[str, Any] | None = None, *, attempt: int | None = None
) -> bool:
    """Write the run's last word; tell whether it was ours (false: it had ended before).

    In a store that is full it is told by this process alone; the next one that looks comes to the same end.
    """
    word = {
        "schema": SCHEMA,
        "state": str(state),
        "time": records.now(),
        "attempt": attempt,
        "cause": plain(cause),
    }
    try:
        return records.create(folder.end, word)
    except OSError:
        remember_end(folder, word)
        return True


def request_cancel(folder: RunFolder) -> bool:
    """Ask for the end of a run; tell whether this was the first request.

    Raises:
        LauncherError: the run folder cannot be written.
    """
    request = {"schema": SCHEMA, "time": records.now(), "by": user(), "host": socket.gethostname()}
    try:
        return records.create(folder.cancel, request)
    except OSError as error:
        raise LauncherError(f"{folder.id}: the request cannot be written: {error}") from error


def delete(folder: RunFolder, *, force: bool = False) -> None:
    """Remove what a run holds; its empty folder stays, so that its number is never used again.

    Raises:
        NotFoundError: this is no run.
        StoreError: the run is not over.
        DamageError: a record of the run is damaged, so that it may not be over.
        LauncherError: something of it cannot be removed.
    """
    run = read_run(folder)
    state = run.state
    if run.damage and not force:
        which = "; ".join(map(str, run.damage))
        raise DamageError(
            f"{folder.id}: {which}. Nobody can say whether the run is over: delete it with --force"
        )
    if not (state.terminal or force):
        raise StoreError(f"{folder.id}: this run is {state}; cancel it first, or delete it with --force")
    if folder.submit.is_dir() and not folder.submit.is_symlink():
        remove_tree(folder.submit)
    records.remove(folder.submit)  # first: what follows is of no run
    left: list[str] = []
    for entry in os.scandir(folder.root):
        if not entry.is_dir(follow_symlinks=False):
            records.remove(Path(entry.path))
        elif not remove_tree(Path(entry.path)):
            left.append(entry.name)
    if left:
        raise LauncherError(f"{folder.id}: deleted, but these could not be removed: {', '.join(left[:5])}")


def user() -> str:
    """Return the name of the user, or the number where it has none (as in many containers)."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
