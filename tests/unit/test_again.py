"""Which failures are run once more."""

from __future__ import annotations

import pytest

from tests.again import DAEMONS, MOST, ROOT, problem

SLURM = "tests/integration/slurm/test_jobs.py::test_a[cluster]"


@pytest.mark.parametrize(
    ("failed", "words"),
    [
        ([], "pytest names no test"),
        (
            [SLURM, "tests/unit/test_main.py::test_b"],
            "these need no daemons: tests/unit/test_main.py::test_b",
        ),
        ([f"{SLURM}{number}" for number in range(MOST + 1)], f"{MOST + 1} tests failed"),
    ],
)
def test_a_failure_that_stays_one(failed: list[str], words: str) -> None:
    assert words in (problem(failed) or "")


def test_few_failures_of_real_daemons_are_run_once_more() -> None:
    assert problem([SLURM, "tests/integration/docker/test_life.py::test_c"]) is None


def test_the_folders_exist() -> None:
    assert all((ROOT / path).exists() for path in DAEMONS)
