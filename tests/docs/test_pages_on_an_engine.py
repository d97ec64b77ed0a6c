"""Pages on containers, as a reader types them beside a Docker engine."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.engine.images import MPI

from .pages import NAMES, ON_AN_ENGINE, blocks
from .reader import CACHE, Reader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.engine.machine import Engine
    from tests.engine.registry import Registry

BASE = "python:3.11-slim-bookworm"
OURS = "localhost:5000/vision/train:7"
NAMES_HERE = {"registry.example.org": "localhost:5000", "username: robot": "username: launcher"}
"""What a reader types for the registry and the user of the pages."""
PARTLY = [
    name for name in NAMES if name != ON_AN_ENGINE and any(block.needs == "docker" for block in blocks(name))
]
"""Pages of which only some blocks need an engine."""


@pytest.fixture(scope="module")
def named_images(engine: Engine, registry: Registry) -> Iterator[Engine]:
    """Return an engine and a registry with the images of the pages.

    Both images are one with Python and Open MPI, so that nothing is installed twice.
    """
    assert registry.address.rpartition(":")[2] == OURS.partition("/")[0].rpartition(":")[2]
    api: Any = engine.client().api
    for name in (BASE, OURS):
        repository, _, tag = name.rpartition(":")
        api.tag(engine.image(MPI), repository, tag)
    assert "error" not in "".join(api.push(OURS, auth_config=registry.auth))
    yield engine
    tags = [tag for image in api.images() for tag in image["RepoTags"] or ()]
    for name in (tag for tag in tags if tag.startswith(("launcher/", "localhost:")) or tag == BASE):
        api.remove_image(name, force=True)


def reader(folder: Path, engine: Engine, registry: Registry) -> Reader:
    env = {name: value for name, value in engine.env.items() if name != "PATH"}
    env |= {"LAUNCHER_CACHE": str(CACHE), "REGISTRY_PASSWORD": registry.password}
    return Reader(folder, env, has={"docker", "registry"}, names=NAMES_HERE)


def log_in(reader: Reader, registry: Registry) -> None:
    """Write what `docker login` writes."""
    folder = reader.folder / "docker"
    folder.mkdir()
    auth = base64.b64encode(f"{registry.username}:{registry.password}".encode()).decode()
    (folder / "config.json").write_text(json.dumps({"auths": {OURS.partition("/")[0]: {"auth": auth}}}))
    reader.env["DOCKER_CONFIG"] = str(folder)


@pytest.mark.slow
def test_the_page_works(tmp_path: Path, named_images: Engine, registry: Registry) -> None:
    typing = reader(tmp_path, named_images, registry)
    api: Any = named_images.client().api
    before = named_images.containers()
    for block in blocks(ON_AN_ENGINE):
        if "environment=ours" in block.text:
            api.remove_image(OURS)  # it has to come from the registry, with the password
        if "environment.push=" in block.text:
            log_in(typing, registry)
        typing.type(block)
        assert named_images.containers() == before, block.where
        assert named_images.networks() == [], block.where
    texts = "\n".join(typing.outputs.values())
    for shown in ("docker run --detach", "Python 3.11", "node0\n", "test_accuracy: 0.9"):
        assert shown in texts, shown
    digests = [digest for image in api.images() for digest in image["RepoDigests"] or ()]
    for name in ("vision@sha256:", "vision/train@sha256:"):  # what was pushed or pulled has a digest
        assert any(digest.startswith(f"localhost:5000/{name}") for digest in digests), digests


@pytest.mark.slow
@pytest.mark.parametrize("page", PARTLY)
def test_blocks_of_other_pages_work(
    page: str, tmp_path: Path, named_images: Engine, registry: Registry
) -> None:
    reader(tmp_path, named_images, registry).read_what_needs("docker", page)
    assert named_images.networks() == []
