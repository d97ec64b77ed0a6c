"""The page about containers: its lines run on a real engine, with images of this machine under its names."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from launcher.__main__ import main
from launcher.paths import cache_root
from tests.engine.images import BASE, MPI

from .conftest import REPOSITORY, blocks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.engine.machine import Engine

PAGE = "docs/docker.md"
IMAGES = {"python:3.11-slim-bookworm": BASE, "registry.example.org/vision/train:7": MPI}
"""What the page names, and what stands for it here."""
CACHE = cache_root()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a project with the files of the page."""
    folder = tmp_path / "project"
    assert main(["init", str(folder)]) == 0
    for block in blocks(PAGE):
        if block.language == "yaml":
            [name] = re.findall(r"^# (conf/\S+)$", block.text, re.MULTILINE)
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(block.text)
    return folder


@pytest.fixture
def named(engine: Engine) -> Iterator[Engine]:
    """Return an engine with the images of the page."""
    api: Any = engine.client().api
    for name, image in IMAGES.items():
        repository, _, tag = name.rpartition(":")
        api.tag(engine.image(image), repository, tag)
    yield engine
    built = [tag for image in api.images() for tag in image["RepoTags"] or () if tag.startswith("launcher/")]
    for name in (*built, *IMAGES):
        api.remove_image(name, force=True)


def environment(engine: Engine, store: Path) -> dict[str, str]:
    """Return the environment of the page's shell; digits and Horovod's wheels are those of the session."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    return {**engine.env, "PATH": path, "LAUNCHER_STORE": str(store), "LAUNCHER_CACHE": str(CACHE)}


@pytest.mark.slow
def test_lines_run_on_an_engine(project: Path, tmp_path: Path, named: Engine) -> None:
    env = environment(named, tmp_path / "store")
    before = named.containers()
    said: dict[str, str] = {}
    for block in blocks(PAGE):
        if block.language != "sh" or "needs-docker" not in block.words:
            continue
        for line in block.commands():
            cwd = project if "project" in block.words else REPOSITORY
            done = subprocess.run(
                ["sh", "-c", line], cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=600
            )
            assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
            said[line] = done.stdout
            assert named.containers() == before, line
            assert named.networks() == [], line
            if line.endswith("dry_run=true"):
                assert not (tmp_path / "store").exists()
    texts = "\n".join(said.values())
    for told in ("docker run --detach", "Python 3.11", "node0\n", "test_accuracy: 0.9"):
        assert told in texts, told
