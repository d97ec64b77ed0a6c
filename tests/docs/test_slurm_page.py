"""The page about Slurm: its lines run in a project with the files that it shows, on a real cluster.

Lines of `sh site` blocks are for sites that are not here: dry runs, with tools that tell of such a site.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from launcher.__main__ import main

from .conftest import blocks

if TYPE_CHECKING:
    from tests.cluster.machine import Cluster

PAGE = "docs/slurm.md"
SINFO = """\
gpu*|40|64|512000|gpu:a100:4(S:0-1)|2-00:00:00|1-infinite
large|1000|128|256000|(null)|1-00:00:00|1-512
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a project with the files of the page."""
    folder = tmp_path / "project"
    assert main(["init", str(folder)]) == 0
    for block in blocks(PAGE):
        if block.language in {"yaml", "python"} and {"slurm", "site"} & set(block.words):
            [name] = re.findall(r"^# (\S+)$", block.text, re.MULTILINE)
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(block.text)
    return folder


def lines(word: str) -> list[str]:
    shown = [block for block in blocks(PAGE) if block.language == "sh" and word in block.words]
    return [line for block in shown for line in block.commands()]


@pytest.mark.slow
def test_lines_run_on_a_cluster(project: Path, cluster: Cluster) -> None:
    env = {**cluster.env, "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))}
    for line in lines("slurm"):
        done = subprocess.run(
            ["sh", "-c", line], cwd=project, env=env, capture_output=True, text=True, check=False, timeout=90
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        if line.endswith(" resume/1 --attempt 0"):
            assert done.stdout == "begins with step 0\n"
        if line.endswith("-f resume/1"):
            assert re.search(r"^begins with step [1-9]", done.stdout, re.MULTILINE)


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        (
            "university",
            ["partition=gpu", "account=vision", "qos=normal", "gpus-per-node=a100:2", "exclude='gpu[07,12]'",
             "time=600", "nodes=1"],
        ),
        (
            "supercomputer",
            ["partition=large", "account=proj1234", "reservation=friday", "constraint=rome", "exclusive",
             "nodes=4", "ntasks-per-node=8", "hint=nomultithread", "switches=1"],
        ),
    ],
)  # fmt: skip
def test_profiles_of_sites(
    profile: str,
    expected: list[str],
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = project / "bin"
    folder.mkdir()
    for name, text in {"sinfo": SINFO, "scontrol": "MaxArraySize = 1001\n", "sbatch": ""}.items():
        (folder / name).write_text(f"#!/bin/sh\ncat <<'END'\n{text}END\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", os.pathsep.join((str(folder), os.environ["PATH"])))
    monkeypatch.setenv("SLURM_CONF", str(project))  # limits are kept by it
    monkeypatch.chdir(project)
    [line] = [line for line in lines("site") if f"compute={profile}" in line]
    assert main([*shlex.split(line)[3:], "dry_run=true"]) == 0
    told = capsys.readouterr().out
    for option in expected:
        assert f"#SBATCH --{option}\n" in told, option
    setup = [
        line
        for line in (project / f"conf/compute/{profile}.yaml").read_text().splitlines()
        if "module" in line
    ]
    assert setup[0].strip("- ") in told
    assert not (project / "store").exists()
