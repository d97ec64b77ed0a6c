"""Lists of runs, quickly: a SQLite cache on local disk, made again at will and never the truth.

Of a run that is over the cache holds all that a list shows; the others are read anew every time. What
was deleted or put back is noticed when it is about to be shown. A store has an identity: if another one lies
at the same path, such as a backup, the cache begins again. If the cache cannot be used (a read-only home, a
broken file), the same happens in memory.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import time
from _blake2 import blake2b  # hashlib loads OpenSSL, 4 ms
from typing import TYPE_CHECKING, Any, cast
from zlib import crc32

from launcher.agent.base.atomic_json import read
from launcher.errors import NotFoundError, StoreError
from launcher.paths import StoreFolder, cache_root
from launcher.store.ownership import PRIVATE, open_cache
from launcher.streams import is_utf8

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from launcher.paths import RunFolder
    from launcher.store.filters import Filters
    from launcher.store.run_state import Run

VERSION = 9
"""Of the tables; another one is thrown away."""

SETTLED_S = 2.0
"""A folder that changed so recently may change again without a new time."""

HOLE_AFTER_S = 3600.0
"""A number that has been without a run for so long never gets one."""

TABLES = """
CREATE TABLE store (identity TEXT);
CREATE TABLE experiments (name TEXT PRIMARY KEY, inode INTEGER, ctime_ns INTEGER);
CREATE TABLE runs (
    name TEXT, number INTEGER, state TEXT, created REAL, sweep TEXT, sign TEXT, row TEXT,
    PRIMARY KEY (name, number)
);
CREATE INDEX newest ON runs (created DESC, number DESC);
CREATE INDEX open_runs ON runs (name) WHERE state NOT IN ('Completed', 'Failed', 'Canceled', 'hole');
CREATE INDEX sweeps ON runs (sweep) WHERE sweep IS NOT NULL;
"""

OPEN = "state NOT IN ('Completed', 'Failed', 'Canceled', 'hole')"

Row = dict[str, Any]
"""What a list shows of a run, ready for JSON."""


def list_runs(store: StoreFolder, filters: Filters, limit: int | None) -> list[Row]:
    """Return the newest runs that pass, newest first; no limit where it is None."""
    path = _path(store)
    for place in (path, path, None):
        try:
            with contextlib.closing(_connect(place)) as base, base:
                _refresh(base, store)
                return _select(base, store, filters, limit)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
                continue
            if place is not None:
                _discard(place)
    raise AssertionError  # a base in memory does not fail


def summarize(run: Run) -> Row:
    """Return what a list shows of a run."""
    from launcher.spec import plain  # noqa: PLC0415
    from launcher.store.metrics import last_values, objective, return_value  # noqa: PLC0415  # 10 ms, see `_put`
    from launcher.store.runs import environment_of  # noqa: PLC0415

    submit = run.submit
    environment = cast("Row", submit.get("environment") or {})
    if environment.get("build"):  # by its job: under another key where the node has another Python
        environment = environment_of(run.folder) or {}
    return {
        "id": run.id,
        "state": str(run.state),
        "created": run.created,
        "started": run.started,
        "ended": run.ended,
        "user": submit.get("user"),
        "host": submit.get("host"),
        "overrides": submit.get("overrides") or [],
        "sweep": submit.get("sweep"),
        "environment": environment.get("key"),
        "image": environment.get("image"),
        "scheduled": bool(submit.get("job")),
        "rerun_of": submit.get("rerun_of"),
        "tags": dict(run.tags),
        "description": run.spec.get("description") or "",
        "distribution": cast("Row", run.spec.get("distribution") or {}).get("kind"),
        "attempts": list(run.attempts),
        "cause": plain(run.cause),
        "damage": [
            {"file": str(each.path), "field": each.field, "reason": each.reason} for each in run.damage
        ],
        "metrics": last_values(run.folder),
        "objective": objective(run),
        "returned": return_value(run),
        "waits": None,  # a scheduler tells it
    }


def _path(store: StoreFolder) -> Path:
    # By host, because a home on NFS is shared and SQLite's log is not made for that.
    key = f"{os.path.realpath(store.root)}\0{os.uname().nodename}"
    return cache_root() / "index" / f"{blake2b(os.fsencode(key), digest_size=16).hexdigest()}.db"


def _connect(path: Path | None) -> sqlite3.Connection:
    if path is None:
        base = sqlite3.connect(":memory:")
    else:
        try:
            open_cache()
            path.parent.mkdir(PRIVATE, exist_ok=True)
            # SQLite gives its log the mode of the base, and takes the process's umask for the base itself.
            os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
            path.chmod(0o600)
        except (OSError, StoreError) as error:
            raise sqlite3.DatabaseError(str(error)) from error
        base = sqlite3.connect(path, timeout=5)
    try:
        _set_up(base)
    except sqlite3.Error:
        base.close()
        raise
    return base


def _set_up(base: sqlite3.Connection) -> None:
    base.execute("PRAGMA journal_mode=WAL")
    base.execute("PRAGMA synchronous=OFF")  # it can be made again
    if base.execute("PRAGMA user_version").fetchone()[0] == VERSION:
        return
    base.execute("BEGIN IMMEDIATE")  # of two at once, the second finds the tables of the first
    if base.execute("PRAGMA user_version").fetchone()[0] != VERSION:
        for table in ("store", "experiments", "runs"):
            base.execute(f"DROP TABLE IF EXISTS {table}")
        for statement in TABLES.split(";"):
            base.execute(statement)
        base.execute(f"PRAGMA user_version={VERSION}")
    base.commit()


def _discard(path: Path) -> None:
    for end in ("", "-wal", "-shm"):
        with contextlib.suppress(OSError):
            path.with_name(path.name + end).unlink()


def _refresh(base: sqlite3.Connection, store: StoreFolder) -> None:
    """Take in new runs, and look at those again that are not over."""
    _check_identity(base, store)
    still_open = base.execute(f"SELECT name, number FROM runs WHERE {OPEN}")  # noqa: S608  # fixed words
    todo = [store.run(name, number) for name, number in still_open]
    known = {name: (inode, ctime_ns) for name, inode, ctime_ns in base.execute("SELECT * FROM experiments")}
    seen: list[tuple[str, int, int]] = []
    now_ns = time.time_ns()
    for name in filter(is_utf8, store.experiments()):  # runs have no other names
        try:
            status = store.experiment(name).stat()
        except OSError:  # removed meanwhile
            continue
        # Not the other time: a backup that is put back has it too, and may get the same inode.
        inode, ctime_ns = status.st_ino, status.st_ctime_ns
        if known.get(name) == (inode, ctime_ns):
            continue
        if known.get(name, (inode, 0))[0] != inode:  # another folder, such as a restored one
            base.execute("DELETE FROM runs WHERE name = ?", (name,))
        rows = base.execute("SELECT number, state FROM runs WHERE name = ?", (name,))
        taken = {number for number, state in rows if state != "hole" or not store.run(name, number).recorded}
        todo += [store.run(name, number) for number in store.numbers(name) if number not in taken]
        settled = now_ns - ctime_ns > SETTLED_S * 1e9
        seen.append((name, inode, ctime_ns if settled else 0))
    _put(base, todo)
    if seen:
        base.executemany("INSERT OR REPLACE INTO experiments VALUES (?, ?, ?)", seen)


def _put(base: sqlite3.Connection, folders: list[RunFolder]) -> None:
    if not folders:
        return
    from launcher.store.runs import read_run  # noqa: PLC0415  # 30 ms that a list of ended runs does not need

    rows: list[tuple[Any, ...]] = []
    for folder in folders:
        name, number = folder.root.parent.name, int(folder.root.name)
        sign = _sign(folder)
        try:
            row = summarize(read_run(folder))
        except NotFoundError:
            state = "hole" if _age(folder) > HOLE_AFTER_S else "Reserved"
            rows.append((name, number, state, None, None, None, None))
            continue
        rows.append((name, number, row["state"], row["created"], row["sweep"], sign, _pack(row)))
    base.executemany("INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?, ?, ?)", rows)


def _pack(row: Row) -> str:
    text = json.dumps(row)
    return f"{crc32(text.encode()):08x}{text}"


def _unpack(text: str) -> Row:
    if text[:8] != f"{crc32(text[8:].encode()):08x}":
        raise sqlite3.DatabaseError("a row is not what was written")
    return cast("Row", json.loads(text[8:]))


def _check_identity(base: sqlite3.Connection, store: StoreFolder) -> None:
    """Forget everything if another store lies at this path now."""
    record = read(str(store.identity)) or {}
    try:
        inode = store.runs.stat().st_ino
    except OSError:
        inode = 0
    identity = f"{record.get('id')} {inode}"
    if base.execute("SELECT identity FROM store").fetchone() == (identity,):
        return
    for table in ("store", "experiments", "runs"):
        base.execute(f"DELETE FROM {table}")  # noqa: S608  # fixed words
    base.execute("INSERT INTO store VALUES (?)", (identity,))


def _sign(folder: RunFolder) -> str | None:
    """Return what changes where a run's records were changed or replaced; None: it is no run."""
    found = [_stamp(path) for path in (folder.submit, folder.spec, folder.end)]
    return None if found[0] is None and found[2] is None else " ".join(map(str, found))


def _stamp(path: Path) -> str | None:
    try:
        status = os.stat(path)  # noqa: PTH116  # Path.stat takes twice as long
    except FileNotFoundError:
        return None
    except OSError as error:
        return f"error {error.errno}"
    return f"{status.st_ino} {status.st_mtime_ns} {status.st_size}"


def _age(folder: RunFolder) -> float:
    try:
        return time.time() - folder.root.stat().st_mtime
    except OSError:
        return 0.0


def _select(base: sqlite3.Connection, store: StoreFolder, filters: Filters, limit: int | None) -> list[Row]:
    found: list[Row] = []
    changed: list[RunFolder] = []
    for name, number, sign, text in _candidates(base, filters):
        if limit is not None and len(found) >= limit:
            break
        row = _unpack(text)
        if not filters.tagged(row["tags"]):
            continue
        folder = store.run(name, number)
        if _sign(folder) == sign:
            found.append(row)
        else:
            changed.append(folder)
    if not changed:
        return found
    base.executemany(
        "UPDATE runs SET state = 'hole', row = NULL WHERE name = ? AND number = ?",
        [(folder.root.parent.name, int(folder.root.name)) for folder in changed],
    )
    _put(base, [folder for folder in changed if _sign(folder) is not None])
    return _select(base, store, filters, limit)


def _candidates(base: sqlite3.Connection, filters: Filters) -> Iterator[tuple[str, int, str, str]]:
    clauses, values = ["row IS NOT NULL"], list[Any]()
    for column, wanted in (("state", filters.states), ("name", filters.names)):
        if wanted:
            known = sorted(filter(is_utf8, wanted))  # of none SQLite makes `IN ()`, which holds nothing
            clauses.append(f"{column} IN ({', '.join('?' * len(known))})")
            values += known
    if filters.since is not None:
        clauses.append("created >= ?")
        values.append(filters.since)
    if filters.sweep is not None:
        clauses.append("sweep = ?")
        values.append(filters.sweep if is_utf8(filters.sweep) else None)
    where = " AND ".join(clauses)
    query = f"SELECT name, number, sign, row FROM runs WHERE {where} ORDER BY created DESC, number DESC"  # noqa: S608  # fixed words
    yield from base.execute(query, values)
