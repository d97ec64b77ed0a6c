"""The folder in which processes start, and what they read: `cwd` and `stdin`."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from launcher.store.runs import read_run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.conftest import Lab

SCRIPT = """\
import os, sys

import helper

rank = os.environ["LAUNCHER_RANK"]
assert os.getcwd().endswith("/work/%s/deep/er" % os.environ["LAUNCHER_ATTEMPT"]), os.getcwd()
with open("outputs/" + rank, "w") as file:
    file.write(open("data").read() + open("../up").read() + sys.stdin.read())
open("beside-" + rank, "w").close()
"""
WORDS = ("script=deep/er/script.py", "cwd=deep/er/")

ALL = pytest.mark.parametrize(
    "words",
    [
        (),
        ("work=copy",),
        ("distribution=torch", "processes_per_node=2"),
        pytest.param(
            ("distribution=mpi", "nodes=2"),
            marks=[pytest.mark.mpi, pytest.mark.skipif(shutil.which("mpirun") is None, reason="no mpirun")],
        ),
    ],
)


@pytest.fixture
def source(lab: Lab) -> Path:
    """Return a source whose script is in a folder of a folder."""
    folder = lab.source / "deep" / "er"
    folder.mkdir(parents=True)
    (folder / "script.py").write_text(SCRIPT)
    (folder / "helper.py").touch()
    (folder / "data").write_text("d")
    (folder.parent / "up").write_text("u")
    (lab.source / "in.txt").write_text("i")
    return lab.source


@ALL
def test_processes_start_in_the_folder_and_rank_0_reads_the_file(
    lab: Lab, source: Path, words: tuple[str, ...]
) -> None:
    before = sorted(path.name for path in source.glob("**/*"))
    done = lab.launch(*WORDS, "stdin=in.txt", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    written = {path.name: path.read_text() for path in lab.run().outputs.iterdir()}
    ranks = 2 if any(word.startswith("distribution=") for word in words) else 1
    assert written == dict([("0", "dui"), ("1", "du")][:ranks])
    assert sorted(path.name for path in lab.run().source.glob("**/*")) == before
    kept = lab.run().root / "work/0/deep/er"
    assert (kept / "beside-0").exists()
    assert (kept / "helper.py").exists() == ("work=copy" in words)


def test_rerun_keeps_both_and_a_dry_run_shows_them(lab: Lab, source: Path) -> None:
    file = source.parent / "absolute.txt"
    file.write_text("a")
    words = (*WORDS, f"stdin={file}")
    shown = lab.launch(*words, "dry_run=true").stdout.splitlines()
    assert "cwd           deep/er" in shown
    assert f"stdin         {file}" in shown
    assert "  '@{python}' script.py" in shown
    assert lab.launch(*words).returncode == 0
    assert lab.command("runs", "rerun", "mnist/1").returncode == 0
    assert (lab.run(2).outputs / "0").read_text() == "dua"
    file.unlink()
    assert lab.command("runs", "rerun", "mnist/1").returncode == 1
    cause = read_run(lab.run(3)).cause
    assert cause is not None
    assert str(file) in cause.message


def test_records_without_the_keys_run_again(lab: Lab) -> None:
    lab.script("print(input.__name__)")
    assert lab.launch().returncode == 0
    spec = json.loads(lab.run().spec.read_text())
    assert (spec.pop("cwd"), spec.pop("stdin")) == (None, None)
    lab.run().spec.write_text(json.dumps(spec))
    done = lab.command("runs", "rerun", "mnist/1")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "input")


def test_wrong_values_are_refused_together(lab: Lab, source: Path) -> None:
    (source / ".gitignore").write_text("cache/\n")
    (source / "cache").mkdir()
    done = lab.launch("script=deep/er/script.py", "cwd=../source", "stdin=in.tx")
    assert done.returncode == 2
    assert "cwd: got '../source'; expected a folder inside" in done.stderr
    assert "stdin: got 'in.tx'; expected a file inside" in done.stderr
    assert "in.txt" in done.stderr
    assert not lab.store.root.exists()
    assert "It is ignored" in lab.launch("script=deep/er/script.py", "cwd=cache").stderr
