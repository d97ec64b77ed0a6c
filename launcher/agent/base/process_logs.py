"""Names and logs of an attempt's processes. A script that removes `logs` must not take the logs with it.

While the attempt runs, a log is `attempts/<k>/logs/NAME.log`, with a hard link in the run's `logs`. At its
end that link is put back if it is gone, and the other name is removed.
"""

from __future__ import annotations

import contextlib
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Mapping

    from .record_types import Plan, PlannedProcess

FOLDER = "logs"
"""In the attempt's folder."""


def process_name(process: Mapping[str, object]) -> str:
    """Return the name of a process in a plan or a record, `worker-0`."""
    return "%s-%s" % (process.get("role"), process.get("index"))


def planned_processes(plan: Plan) -> list[PlannedProcess]:
    """Return the processes of a plan; if mpirun starts them, all its ranks and then mpirun itself."""
    if plan.get("mpi") is None:
        return plan.get("processes") or []
    slots = plan.get("processes_per_node") or 1
    ranks = range((plan.get("nodes") or 1) * slots)
    found: list[PlannedProcess] = [mpi_rank(rank, rank % slots, rank // slots) for rank in ranks]
    return [*found, {"role": "mpirun", "index": 0, "rank": -1, "local_rank": 0, "node": 0}]


def mpi_rank(rank: int, local_rank: int, node: int) -> PlannedProcess:
    """Return a process that mpirun starts."""
    return {"role": "worker", "index": rank, "rank": rank, "local_rank": local_rank, "node": node}


def folder_of(run: str, attempt: int) -> str:
    """Return where the logs of an attempt are written."""
    return os.path.join(run, "attempts", str(attempt), FOLDER)


def public_folder(run: str, attempt: int) -> str:
    """Return where the logs of an attempt are found: `logs` for the first, `logs/attempt-k` after."""
    logs = os.path.join(run, "logs")
    return logs if attempt == 0 else os.path.join(logs, "attempt-%d" % attempt)


def publish(run: str, attempt: int, names: list[str]) -> None:
    """Make the logs of an attempt, empty, under both of their names."""
    own, public = folder_of(run, attempt), public_folder(run, attempt)
    os.makedirs(own, exist_ok=True)
    with contextlib.suppress(OSError):  # an earlier attempt of the script may have left a broken link
        os.makedirs(public, exist_ok=True)
    for name in names:
        path = os.path.join(own, name)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600))
        with contextlib.suppress(OSError):  # a file system without hard links: `settle` moves it
            os.link(path, os.path.join(public, name))


def link_public(path: str) -> None:
    """Give a log that has just been made on another node than agent 0's its public name too."""
    attempt = os.path.dirname(os.path.dirname(path))
    run = os.path.dirname(os.path.dirname(attempt))
    if not os.path.basename(attempt).isdigit():  # no log of a process
        return
    with contextlib.suppress(OSError):  # it has one, or `settle` moves it
        os.link(
            path, os.path.join(public_folder(run, int(os.path.basename(attempt))), os.path.basename(path))
        )


def add(log: str, line: str) -> None:
    """Add a line of the launcher's own to a log."""
    with contextlib.suppress(OSError):  # the run may be deleted, or the disk full
        fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, line.encode("utf-8", "backslashreplace") + b"\n")
        finally:
            os.close(fd)


def settle(run: str, attempt: int) -> None:
    """Leave each log under its public name alone; one whose name the script took stays where it is."""
    own, public = folder_of(run, attempt), public_folder(run, attempt)
    try:
        names = os.listdir(own)
    except OSError:
        return
    for name in names:
        path, target = os.path.join(own, name), os.path.join(public, name)
        with contextlib.suppress(OSError):
            os.makedirs(public, exist_ok=True)
            if not os.path.lexists(target):
                os.rename(path, target)
            elif os.path.samefile(path, target):
                os.unlink(path)
    with contextlib.suppress(OSError):
        os.rmdir(own)


def find(run: str, folder: str, log: str) -> str:
    """Return the path of a log that a record names, also while its attempt, whose folder it is, runs."""
    own = os.path.join(folder, FOLDER, os.path.basename(log))
    return own if os.path.exists(own) else os.path.join(run, log)
