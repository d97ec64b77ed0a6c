"""Programs that are run for what they print."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from launcher.agent.base.tools import NOT_RUN, failure, full_output, output, run_tool

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

BOTH = [sys.executable, "-c", "import sys; print(1); print(2, file=sys.stderr); sys.exit(3)"]


def test_a_program_that_fails_tells_both_of_its_streams() -> None:
    done = run_tool(BOTH)
    assert (done.returncode, done.stdout, done.stderr, failure(done)) == (3, "1\n", "2\n", "2")
    assert output(BOTH) == "1\n"
    assert full_output(BOTH, 20) == "1\n2\n"


def test_a_program_that_is_missing_or_hangs_prints_nothing_and_tells_why() -> None:
    missing, hung = run_tool(["nonesuch-program"]), run_tool(["sleep", "60"], timeout_s=0.1)
    assert (missing.returncode, missing.stdout) == (hung.returncode, hung.stdout) == (NOT_RUN, "")
    assert missing.stderr.startswith("nonesuch-program: [Errno 2]")
    assert "timed out" in hung.stderr
    assert full_output(["nonesuch-program"], 20) == full_output(["sleep", "60"], 0.1) == ""


def test_variables_and_what_runs_before_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_CONF", "/conf")
    words = ["sh", "-c", "echo $SLURM_JOB_ID,$SLURM_CONF,$MORE"]
    assert run_tool(words, more={"MORE": "x"}).stdout == "7,/conf,x\n"
    assert run_tool(words, clean=True).stdout == ",/conf,\n"
    assert run_tool(["true"], preexec=(tmp_path / "before").touch).returncode == 0
    assert (tmp_path / "before").exists()
