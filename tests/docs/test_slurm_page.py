"""Profiles of sites that the page about Slurm shows: dry runs, with tools that tell of such a site."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest

from launcher.__main__ import main

from .pages import blocks

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
        if block.path is not None:
            (folder / block.path).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.path).write_text(block.text)
    return folder


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
    shown = [line for block in blocks(PAGE) if block.needs == "site" for line in block.commands()]
    [line] = [line for line in shown if f"compute={profile}" in line]
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
