"""What another user of this machine can prevent or reach while a run goes on."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.integration.conftest import Lab

if TYPE_CHECKING:
    from pathlib import Path

STRANGER = 65533

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")

_SHOWS = """\
import os
folder = os.environ["TMPDIR"]
print(folder, oct(os.stat(os.path.dirname(folder)).st_mode & 0o777))
"""

# Every name that can be told from the path of a run, by the rule of version 0.1.0.
_SQUATS = """
import hashlib, os, sys
for number in range(1, 4):
    for node in range(2):
        mark = "%s/runs/mnist/%d#0#%d" % (sys.argv[1], number, node)
        name = "launcher-" + hashlib.sha256(mark.encode()).hexdigest()[:12]
        os.mkdir(os.path.join(sys.argv[2], name), 0o777)
"""


@pytest.mark.mpi
@pytest.mark.skipif(shutil.which("mpirun") is None, reason="no mpirun on PATH")
def test_nobody_can_make_the_folders_of_a_run_first(lab: Lab, tmp_path: Path) -> None:
    for folder in (*tmp_path.parents[:3], tmp_path):
        folder.chmod(folder.stat().st_mode | 0o111)
    disk = tmp_path / "disk"
    disk.mkdir()
    disk.chmod(0o1777)
    squat = ["python3", "-c", _SQUATS, str(lab.store.root), str(disk)]
    subprocess.run(squat, check=True, user=STRANGER, group=STRANGER, timeout=60)
    before = set(os.listdir(disk))
    lab.env["TMPDIR"] = str(disk)
    lab.script(_SHOWS)
    done = lab.launch("distribution=mpi", "nodes=2")
    assert done.returncode == 0, done.stdout + done.stderr
    shown = [(lab.run().logs / f"worker-{rank}.log").read_text().split() for rank in range(2)]
    assert [mode for _, mode in shown] == ["0o700"] * 2
    assert all(folder.startswith(f"{disk}/launcher-") for folder, _ in shown)
    assert set(os.listdir(disk)) == before
