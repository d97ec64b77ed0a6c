"""A store whose disk fills up: the full disk is named, nothing half made is left, done work is Completed."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from launcher.paths import StoreFolder
from launcher.spec import State
from launcher.store.runs import read_run
from tests.integration.conftest import Lab

if TYPE_CHECKING:
    from collections.abc import Iterator

WAITS = """\
import sys, time
from pathlib import Path
print('up', flush=True)
while not Path(sys.argv[-1]).exists(): time.sleep(0.05)
"""


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Lab]:
    """Launches into a store on a disk of 2 MiB and 400 files."""
    if os.getuid() != 0:
        pytest.skip("only root may mount")
    disk = tmp_path / "disk"
    disk.mkdir()
    options = "size=2m,nr_inodes=400"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", disk], check=True)
    lab = Lab(tmp_path)
    lab.store = StoreFolder(disk / "store")
    lab.env["LAUNCHER_STORE"] = str(lab.store.root)
    try:
        yield lab
        lab.clean_up()
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


def fill(lab: Lab, *, files: bool) -> list[Path]:
    """Take all that is left of the disk; return the files that did."""
    taken: list[Path] = []
    try:
        for number in range(1000):
            taken.append(lab.store.root / f"fill-{number}")
            with taken[-1].open("wb", buffering=0) as file:
                while not files:
                    file.write(b"x" * 4096)
    except OSError as error:
        assert error.errno == errno.ENOSPC  # noqa: PT017  # the last of many writes
        return taken
    raise AssertionError(taken)


def named(text: str, lab: Lab) -> bool:
    return f"the store's disk is full: {lab.store.root}" in text and "launcher runs delete" in text


def test_a_script_that_fills_the_disk(small: Lab) -> None:
    small.script("open('outputs/big', 'wb').write(bytes(1 << 22))")
    done = small.launch()
    assert done.returncode == 1
    assert "without a word" not in done.stderr
    assert "exited with 1; the store's disk is full" in done.stderr
    run = read_run(small.run())
    assert run.cause is not None
    assert (run.state, run.cause.kind, run.cause.exit_code) == (State.FAILED, "exit", 1)
    assert named(run.cause.message, small)
    assert small.run().end.exists()
    assert run.processes[0]["exit_code"] == 1


@pytest.mark.parametrize("files", [False, True])
def test_work_that_is_done_when_the_disk_is_full_is_completed(
    small: Lab, tmp_path: Path, *, files: bool
) -> None:
    small.script(WAITS)
    go = tmp_path / "go"
    process = small.start(f"args.go={go}")
    small.running(small.run(), "up")
    taken = fill(small, files=files)
    go.touch()
    process.communicate(timeout=60)
    assert process.returncode == 0
    for path in taken:
        path.unlink(missing_ok=True)
    run = read_run(small.run())
    assert (run.state, run.cause, run.damage) == (State.COMPLETED, None, ())
    assert run.processes[0]["exit_code"] == 0
    assert sorted(os.listdir(small.run().attempt(0))) == ["state.json"]


@pytest.mark.parametrize("files", [False, True])
def test_a_launch_into_a_full_store_leaves_nothing(small: Lab, *, files: bool) -> None:
    small.script("pass")
    assert small.launch().returncode == 0
    fill(small, files=files)
    for words in ([], ["-m", "args.x=1,2,3"]):
        done = small.launch(*words)
        assert done.returncode == 2, done.stderr
        assert named(done.stderr, small)
        assert "None" not in done.stderr
        assert list(small.store.numbers("mnist")) == [1]
        assert "Traceback" not in done.stderr
