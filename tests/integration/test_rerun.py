"""A run again, from its record alone."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from launcher.store.runs import read_run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.integration.conftest import Lab


def rerun(lab: Lab, *words: str) -> subprocess.CompletedProcess[str]:
    line: Sequence[str] = [sys.executable, "-m", "launcher", "runs", "rerun", *words]
    return subprocess.run(line, env=lab.env, capture_output=True, text=True, timeout=240, check=False)


def test_what_was_frozen_runs_not_what_is_there_today(lab: Lab) -> None:
    lab.script("import sys; print('then', sys.argv[1:])")
    assert lab.launch("args.x=1", "tags.a=b").returncode == 0
    lab.script("print('now')")
    again = rerun(lab, "mnist/1")
    assert again.returncode == 0, again.stderr
    assert "then ['-x', '1']" in again.stdout
    run = read_run(lab.run(2))
    assert run.submit["rerun_of"] == "mnist/1"
    assert run.tags == {"a": "b"}
    assert run.folder.config.read_text() == lab.run(1).config.read_text()
    assert run.folder.source.resolve() == lab.run(1).source.resolve()


def test_a_failed_run_fails_again_with_its_exit_code(lab: Lab) -> None:
    lab.script("import sys; sys.exit(7)")
    assert lab.launch().returncode == 1
    assert rerun(lab, "latest").returncode == 1
    cause = read_run(lab.run(2)).cause
    assert cause is not None
    assert cause.exit_code == 7


def test_a_run_whose_source_is_gone_is_refused(lab: Lab) -> None:
    lab.script("pass")
    assert lab.launch().returncode == 0
    shutil.rmtree(lab.run(1).source.resolve())
    done = rerun(lab, "mnist/1")
    assert done.returncode == 2
    assert "its snapshot of the source is gone" in done.stderr
    assert not lab.run(2).submit.exists()


def test_an_environment_that_cannot_be_had_again_is_told(lab: Lab) -> None:
    lab.script("pass")
    assert lab.launch().returncode == 0
    submit = json.loads(lab.run(1).submit.read_text())
    submit["environment"].update(python="/nowhere/bin/python", key="0123")
    lab.run(1).submit.write_text(json.dumps(submit))
    done = rerun(lab, "mnist/1")
    assert done.returncode == 1
    assert "/nowhere/bin/python is gone" in done.stderr
