"""Which process failed first, and what is said of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from launcher.agent import causes


def ranks(folder: Path, *ends: str | None) -> list[dict[str, Any]]:
    """Make what rank.sh leaves, in this order of time; None: it never started."""
    records: list[dict[str, Any]] = []
    for rank, end in enumerate(ends):
        records.append({"role": "worker", "rank": rank, "node": "n", "exit_code": None, "signal": None})
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
    (tmp_path / "log").write_text(said)
    found = causes.failed_rank(str(tmp_path), records, str(tmp_path / "log"))
    assert (None if found is None else found["rank"]) == first


def test_how_ranks_ended_is_noted(tmp_path: Path) -> None:
    records = ranks(tmp_path, "0@5", "3@6", "143@7", "", None)
    causes.failed_rank(str(tmp_path), records, str(tmp_path / "log"))
    assert [(item["exit_code"], item["signal"]) for item in records] == [
        (0, None), (3, None), (None, 15), (None, 9), (None, None),
    ]  # fmt: skip
    assert [item.get("ended") for item in records[:3]] == [5, 6, 7]


def test_words_for_an_end() -> None:
    who = {"role": "worker", "rank": 3, "node": "node1", "exit_code": 7, "signal": None}
    assert causes.how(who, several=True) == ("exit", "rank 3 on node1 exited with 7")
    assert causes.how(who, several=False) == ("exit", "worker on node1 exited with 7")
    killed = {**who, "role": "ps", "exit_code": None, "signal": 9}
    assert causes.how(killed, several=True) == ("signal", "ps on node1 was killed by signal 9")


def test_the_last_lines_of_any_log(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(
        b"x" * 100_000 + b"\n" + b"\n".join(b"line %d \xff" % i for i in range(50))
    )
    lines = causes.last_lines(str(tmp_path), "log")
    assert lines[0] == "line 30 \\xff"
    assert len(lines) == 20
    assert causes.last_lines(str(tmp_path), "none") == causes.last_lines(str(tmp_path), None) == []
