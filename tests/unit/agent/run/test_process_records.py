"""What an attempt says of the process that ended it."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest

from launcher.agent.run.process_records import Processes

if TYPE_CHECKING:
    from pathlib import Path

STOPPED = ("container_lost", "the container of node1 was stopped from outside")


def processes(folder: Path, *roles: str) -> Processes:
    """Return a worker on each node, and mpirun on the first where it is named."""
    empty: dict[str, Any] = dict.fromkeys(("pid", "started", "ended", "exit_code", "signal"))
    records: list[Any] = [
        {"role": "worker", "index": index, "rank": index, "node": f"node{index}", "log": "none", **empty}
        for index in (0, 1)
    ]
    records += [
        {"role": role, "index": 0, "rank": -1, "node": "node0", **empty, "log": "none"} for role in roles
    ]
    return Processes(str(folder), str(folder), records)


def exited(name: str, code: int | None, number: int | None = None, **more: Any) -> Any:
    rest = {"out_of_memory": False, "reason": None, "grace_s": None, **more}
    return {"event": "exited", "name": name, "exit_code": code, "signal": number, **rest}


@pytest.mark.parametrize(
    ("event", "kind", "message"),
    [
        (exited("worker-1", None, 9), "signal", "was killed by signal 9"),
        (
            exited("worker-1", None, 9, out_of_memory=True),
            "out_of_memory",
            "used more memory",
        ),
        (exited("worker-1", 137, out_of_memory=True), "out_of_memory", "used more memory"),
        (
            exited("worker-1", 1, out_of_memory=True),
            "exit",
            "; before, the kernel killed a process",
        ),
        (
            exited("worker-1", 0, reason=STOPPED),
            "container_lost",
            "exited with 0: the container of",
        ),
        (exited("worker-1", 1), "exit", "rank 1 on node1 exited with 1"),
    ],
)
def test_what_is_behind_an_end(tmp_path: Path, event: Any, kind: str, message: str) -> None:
    known = processes(tmp_path)
    found, said, who = known.blame(known.exited(event))
    assert (found, who["rank"]) == (kind, 1)
    assert message in said


@pytest.mark.parametrize(
    ("rank", "kind", "message"),
    [
        ("137", "out_of_memory", "rank 1 on node1 was killed by signal 9: the job used more memory"),
        ("", "signal", "mpirun on node0 was killed by signal 9"),  # which ended the rank too
    ],
)
def test_an_mpirun_that_seems_killed(tmp_path: Path, rank: str, kind: str, message: str) -> None:
    """A shell shows the exit code 137, which mpirun has of a rank, as a signal."""
    known = processes(tmp_path, "mpirun")
    (tmp_path / "rank-0").touch()
    (tmp_path / "rank-1").write_text(rank)
    known.starved("node1")
    found, said, _ = known.blame(known.exited(exited("mpirun-0", None, int(signal.SIGKILL))))
    assert found == kind
    assert message in said


def test_an_mpirun_whose_container_was_stopped(tmp_path: Path) -> None:
    known = processes(tmp_path, "mpirun")
    found, said, _ = known.blame(known.exited(exited("mpirun-0", 1, reason=STOPPED)))
    assert (found, said.endswith(STOPPED[1])) == ("container_lost", True)
