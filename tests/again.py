"""Run the tests that failed once more, if all of them are tests of real daemons: `python -m tests.again`.

A cluster or an engine on a busy machine may be late once. What fails twice has failed, and a unit test is
never run again.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT: Final = Path(__file__).parents[1]
FAILED: Final = ROOT / ".pytest_cache/v/cache/lastfailed"
"""Where pytest lists what failed last, as a JSON object by the ids of the tests."""

DAEMONS: Final = (
    "tests/docs/test_pages_on_a_cluster.py",
    "tests/docs/test_pages_on_an_engine.py",
    "tests/integration/docker/",
    "tests/integration/slurm/",
    "tests/integration/test_cluster.py",
    "tests/integration/test_compute_check.py",
    "tests/integration/test_engine.py",
    "tests/training/test_docker_training.py",
    "tests/training/test_slurm_training.py",
)
MOST: Final = 6
"""More failures than this are no coincidence."""


def problem(tests: Iterable[str]) -> str | None:
    """Return why these tests are not run again, None if they may be."""
    ids = sorted(tests)
    others = [test for test in ids if not test.startswith(DAEMONS)]
    if not ids:
        return "pytest names no test that failed"
    if others:
        return f"not run once more, since these need no daemons: {', '.join(others)}"
    return f"not run once more: {len(ids)} tests failed" if len(ids) > MOST else None


def main() -> int:
    """Run them and return pytest's exit code; 1 if they are not run."""
    failed: dict[str, bool] = json.loads(FAILED.read_bytes()) if FAILED.exists() else {}
    found = problem(failed)
    if found is not None:
        print(found)  # noqa: T201  # the answer
        return 1
    print("run once more, with real daemons:", *sorted(failed), sep="\n  ", flush=True)  # noqa: T201
    return subprocess.run([sys.executable, "-m", "pytest", *sorted(failed)], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
