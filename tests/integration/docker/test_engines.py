"""What is refused, and engines that are not as they should be."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.integration.docker.lab import Boxed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["environment=current"], "an image with compute=docker"),
        (["memory_gib=0.001"], "memory_gib: got 0.001"),
        (["cpus_per_process=1000"], "at most"),
        (["compute.mounts=[/nonesuch:/x]"], "/nonesuch does not"),
        (["gpus_per_node=1"], "gpus_per_node=0"),
        (["environment.image='a b'"], "registry/name:tag"),
        (["environment.registry.password=plain"], "it is in no record"),
        (["compute.mpi=some"], "openmpi 4.1"),
    ],
)
def test_what_is_refused_before_anything_is_touched(lab: Boxed, words: Sequence[str], told: str) -> None:
    done = lab.launch(lab.shell("true"), *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr
    assert "plain" not in done.stderr
    assert not lab.store.root.exists()


@pytest.mark.parametrize(
    ("host", "told"),
    [
        ("tcp://192.0.2.1:2375", "another machine"),
        ("unix:///nonesuch.sock", "No such file or directory"),
        ("tcp://127.0.0.1:9", "refused"),
    ],
)
def test_an_engine_that_does_not_serve(lab: Boxed, host: str, told: str) -> None:
    lab.env["DOCKER_HOST"] = host
    done = lab.launch(lab.shell("true"))
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert not lab.store.root.exists()


def test_a_context_names_the_engine(lab: Boxed, tmp_path: Path) -> None:
    from docker.context import ContextAPI  # noqa: PLC0415  # reads DOCKER_CONFIG when it is asked

    lab.env["DOCKER_CONFIG"] = str(tmp_path / "client")
    (tmp_path / "client").mkdir()
    (tmp_path / "client" / "config.json").write_text("{}")
    before = os.environ.get("DOCKER_CONFIG")
    os.environ["DOCKER_CONFIG"] = lab.env["DOCKER_CONFIG"]
    try:
        ContextAPI.create_context("mine", host=lab.engine.host)
    finally:
        os.environ.pop("DOCKER_CONFIG")
        os.environ |= {} if before is None else {"DOCKER_CONFIG": before}
    lab.env.pop("DOCKER_HOST")
    command = lab.shell("true")
    lab.env["DOCKER_CONTEXT"] = "mine"
    assert lab.launch(command).returncode == 0
    lab.env["DOCKER_CONTEXT"] = "nonesuch"
    done = lab.launch(command)
    assert done.returncode == 2
    assert "there is no such context" in done.stderr
    lab.nothing_left()


def test_an_engine_that_does_not_see_the_store(lab: Boxed, tmp_path: Path) -> None:
    """It has a file system of its own there, as that of a virtual machine has."""
    hidden = tmp_path / "store"
    hidden.mkdir()
    lab.engine.exec(["mount", "-t", "tmpfs", "none", str(hidden)])
    try:
        done = lab.launch(lab.shell("true"))
        assert done.returncode == 1
        assert f"does not see {lab.run().root}" in done.stderr
        assert "does not see" in lab.cause(lab.run())
    finally:
        lab.engine.exec(["umount", str(hidden)])
    lab.nothing_left()


def test_an_engine_whose_disk_is_full(lab: Boxed) -> None:
    """The engine's own words are the cause."""
    state = lab.engine.layout.root / "data" / "containers"
    lab.engine.exec(["mount", "-t", "tmpfs", "-o", "size=4k", "none", str(state)])
    try:
        assert lab.launch(lab.shell("true")).returncode == 1
        assert "no space left on device" in lab.cause(lab.run())
    finally:
        lab.engine.exec(["umount", "-l", str(state)])
    assert lab.launch(lab.shell("true")).returncode == 0
    lab.nothing_left()
