"""The pages about Hydra apps: every line of theirs is run, in a folder with the app that they show."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .conftest import blocks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.cluster.machine import Cluster

PAGES = ("docs/hydra-apps.md", "docs/from-hydra-submitit-launcher.md")


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """Return a folder with the app."""
    folder = tmp_path / "app"
    for block in blocks(PAGES[0]):
        if block.language in {"yaml", "python"}:
            [name] = re.findall(r"^# (\S+)$", block.text, re.MULTILINE)
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(block.text)
    return folder


def run(page: str, word: str, app: Path, variables: Mapping[str, str]) -> None:
    path = os.pathsep.join((str(Path(sys.executable).parent), variables.get("PATH", os.environ["PATH"])))
    env = {**os.environ, **variables, "PATH": path}
    shown = [block for block in blocks(page) if block.language == "sh" and word in block.words]
    lines = [line for block in shown for line in block.commands()]
    assert lines
    for line in lines:
        done = subprocess.run(
            ["sh", "-c", line], cwd=app, env=env, capture_output=True, text=True, check=False, timeout=180
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_lines_for_this_machine_run(page: str, app: Path) -> None:
    run(page, "app", app, {})


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_lines_for_slurm_run(page: str, app: Path, cluster: Cluster) -> None:
    run(page, "slurm", app, cluster.variables)
