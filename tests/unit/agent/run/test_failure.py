"""Which process failed first, and what is said of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from launcher.agent.run import failure


def ranks(folder: Path, *ends: str | None) -> list[Any]:
    """Make what rank.sh leaves, in this order of time; None: it never started."""
    records: list[Any] = []
    for rank, end in enumerate(ends):
        empty = dict.fromkeys(("started", "ended", "exit_code", "signal"))
        records.append({"role": "worker", "rank": rank, "node": "n", "log": f"worker-{rank}.log", **empty})
        if end is not None:
            text, _, when = end.partition("@")
            (folder / f"rank-{rank}").write_text(text)
            os.utime(folder / f"rank-{rank}", (float(when or 1), float(when or 1)))
    return records


@pytest.mark.parametrize(
    ("ends", "said", "first"),
    [
        (("0@1", "0@2"), "", None),
        (("143@3", "9@2", "143@3"), "", 1),
        (("1@2", "2@1"), "", 1),
        (("137@1", "143@2"), "", 0),
        (("143@3", "", "143@4"), "", 1),
        (
            ("", "", "143@4"),
            "mpirun noticed that process rank 1 with PID 7 on node n exited on signal 9 (Killed).",
            1,
        ),
        (("", "", "143@4"), "=   RANK 0 PID 7 RUNNING AT n\n=   KILLED BY SIGNAL: 9 (Killed)", 0),
        (("", "", "143@4"), "", 2),
        (("", ""), "", 0),
        (("7@1", ""), "", 0),
        (("1@5", ""), "mpirun noticed that process rank 1 with PID 7 on node n exited on signal 9", 1),
        (("1@5", ""), "srun: error: n: task 1: Killed", 0),
        (("143@5", "", ""), "srun: error: n: task 2: Killed", 2),
        ((None, None), "", None),
    ],
)
def test_the_rank_that_failed_first(
    tmp_path: Path, ends: tuple[str | None, ...], said: str, first: int | None
) -> None:
    records = ranks(tmp_path, *ends)
    found = failure.failed_rank(str(tmp_path), str(tmp_path), records, said)
    assert (None if found is None else found["rank"]) == first


RULE = "-" * 74 + "\n"
EXECUTABLE = (
    RULE + "mpirun was unable to launch the specified application as it could not access\n"
    "or execute an executable:\n\nExecutable: ./nope\nNode: vm\n\nwhile attempting to start process rank 0.\n"
    + RULE
    + "2 total processes failed to start\n"
)
FILLED = RULE + "All nodes which are allocated for this job are already filled.\n" + RULE
EXIT_CODE = (
    RULE + "Primary job  terminated normally, but 1 process returned\na non-zero exit code.\n" + RULE + RULE
    + "mpirun detected that one or more processes exited with non-zero status, thus causing\n"
    "the job to be terminated. The first process to do so was:\n\n  Process name: [[1753,{job}],{rank}]\n"
    "  Exit code:    5\n" + RULE
)  # fmt: skip
SPAWNED = "child dies\n" + EXIT_CODE.format(job=2, rank=0).replace("Primary job ", "Child job 2")
WARNING = RULE + "WARNING: Linux kernel CMA support was requested\n" + RULE


@pytest.mark.parametrize(
    ("ends", "said", "first"),
    [
        (("", ""), EXECUTABLE, None),  # one of them called MPI_Comm_spawn
        (("143@1", "143@2"), EXECUTABLE, None),
        (("143@1", ""), SPAWNED, None),
        (("143@1", "1@2"), FILLED, 1),
        (("143@1", "5@2"), EXIT_CODE.format(job=1, rank=1), 1),
        (("143@1", "143@2"), EXIT_CODE.format(job=1, rank=1), 1),  # somebody sent rank 1 a SIGTERM
        (("143@1", "1@2"), EXIT_CODE.format(job=1, rank=0), 0),  # rank 1 handles mpirun's SIGTERM
        (("143@1", "143@2"), "Process name: [prterun-vm-77@1,1]", 1),
        (("143@1", "3@2"), RULE + "MPI_ABORT was invoked on rank 1\n" + RULE, 1),
        (("143@1", "143@2"), WARNING, 0),
    ],
)
def test_mpirun_or_the_rank_that_failed_first(
    tmp_path: Path, ends: tuple[str | None, ...], said: str, first: int | None
) -> None:
    found = failure.failed_rank(str(tmp_path), str(tmp_path), ranks(tmp_path, *ends), said)
    assert (None if found is None else found["rank"]) == first


@pytest.mark.parametrize(
    ("log", "end"),
    [
        ("up\nSegmentation fault (core dumped)\n", (None, 11)),
        ("up\nKilled\n", (None, 9)),
        ("Abort(3) on node 1 (rank 1 in comm 0): application called MPI_Abort\n", (3, None)),
    ],
)
def test_a_rank_that_failed_before_all_were_killed(
    tmp_path: Path, log: str, end: tuple[int | None, int | None]
) -> None:
    records = ranks(tmp_path, "", "", "")
    for item in records:
        item["log"] = f"worker-{item['rank']}.log"
        (tmp_path / item["log"]).write_text(log if item["rank"] == 1 else "up\n")
    killed = "=   RANK 0 PID 7 RUNNING AT n\n=   KILLED BY SIGNAL: 9 (Killed)"
    found = failure.failed_rank(str(tmp_path), str(tmp_path), records, killed)
    assert found is not None
    assert found is records[1]
    assert (found["exit_code"], found["signal"]) == end


MPIRUN: Any = {"role": "mpirun", "log": "log"}


@pytest.mark.parametrize(
    ("who", "said", "words"),
    [
        (
            MPIRUN,
            WARNING + EXECUTABLE,
            (
                ": mpirun was unable to launch the specified application as it could not access or execute "
                "an executable: Executable: ./nope Node: vm"
            ),
        ),
        (MPIRUN, SPAWNED, ": Child job 2 terminated normally, but 1 process returned a non-zero exit code."),
        (MPIRUN, "hello\nmpirun: Error: unknown option\n", ": mpirun: Error: unknown option"),
        (MPIRUN, "hello\n", ""),
        (
            {"role": "mpirun's daemon"},
            FILLED,
            ": All nodes which are allocated for this job are already filled.",
        ),
        (
            {"role": "worker"},
            FILLED + EXIT_CODE,
            "; mpirun: All nodes which are allocated for this job are already filled.",
        ),
        ({"role": "worker"}, WARNING + EXIT_CODE, ""),
        ({"role": "worker"}, RULE + "x" * 400 + "\n" + RULE, "; mpirun: " + "x" * 299 + "…"),
    ],
)
def test_what_mpirun_says(who: Any, said: str, words: str) -> None:
    assert failure.mpirun_words(who, said) == words


def test_the_lines_of_mpirun_begin_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("before\n" * 90 + EXECUTABLE.replace("Node: vm\n", "Node: vm\n" * 30))
    lines = failure.last_lines(str(tmp_path), str(tmp_path), MPIRUN)
    assert len(lines) == 20
    assert lines[:2] == [
        "mpirun was unable to launch the specified application as it could not access",
        "or execute an executable:",
    ]
    (tmp_path / "log").write_text("before\n" * 90 + SPAWNED)
    assert "child dies" in failure.last_lines(str(tmp_path), str(tmp_path), MPIRUN)


def test_how_ranks_ended_is_noted(tmp_path: Path) -> None:
    records = ranks(tmp_path, "0@5", "3@6", "143@7", "", None)
    failure.failed_rank(str(tmp_path), str(tmp_path), records, "")
    assert [(item["exit_code"], item["signal"]) for item in records] == [
        (0, None), (3, None), (None, 15), (None, 9), (None, None),
    ]  # fmt: skip
    assert [item.get("ended") for item in records[:3]] == [5, 6, 7]


def test_words_for_an_end() -> None:
    who: Any = {"role": "worker", "rank": 3, "node": "node1", "exit_code": 7, "signal": None}
    assert failure.describe(who, several=True) == ("exit", "rank 3 on node1 exited with 7")
    assert failure.describe(who, several=False) == ("exit", "worker on node1 exited with 7")
    killed: Any = {**who, "role": "ps", "exit_code": None, "signal": 9}
    assert failure.describe(killed, several=True) == ("signal", "ps on node1 was killed by signal 9")


def test_the_last_lines_of_any_log(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(
        b"x" * 100_000 + b"\n" + b"\n".join(b"line %d \xff" % i for i in range(50))
    )
    who: Any = {"role": "worker", "log": "log"}
    lines = failure.last_lines(str(tmp_path), str(tmp_path), who)
    assert lines[0] == "line 30 \\xff"
    assert len(lines) == 20
    who["log"] = "none"
    assert failure.last_lines(str(tmp_path), str(tmp_path), who) == []
    assert failure.last_lines(str(tmp_path), str(tmp_path), None) == []
