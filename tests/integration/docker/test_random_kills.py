"""Random processes of runs in containers are killed at random moments: true verdicts, and nothing left."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from docker.errors import APIError

from tests.integration.kills import Driver

if TYPE_CHECKING:
    from launcher.paths import RunFolder
    from tests.integration.docker.lab import Boxed

SHAPES = [
    (),
    ("retries=1",),
    ("distribution=torch", "nodes=2"),
    ("distribution=torch", "nodes=2", "retries=1"),
]


@pytest.mark.slow
def test_verdicts_are_true(lab: Boxed) -> None:
    api: Any = lab.engine.client().api

    def boxes(folder: RunFolder) -> list[dict[str, Any]]:
        listed = api.containers(all=True, filters={"label": "launcher.run"})
        return [one for one in listed if any(at["Source"] == str(folder.root) for at in one["Mounts"])]

    def shims(folder: RunFolder) -> list[int]:
        """Return the first process of each container, and what holds it for the engine."""
        found: list[int] = []
        for box in boxes(folder):
            with suppress(APIError):  # it has ended meanwhile
                pid = int(api.inspect_container(box["Id"])["State"]["Pid"])
                found += [pid] if pid else []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                line = path.read_bytes()
                if b"containerd-shim" in line and any(box["Id"].encode() in line for box in boxes(folder)):
                    found.append(int(path.parent.name))
        return found

    def kept(folder: RunFolder) -> list[str]:
        return [*lab.left_in_tmp(folder), *(str(box["Names"]) for box in boxes(folder))]

    driver = Driver(lab, SHAPES, shims, lambda folder: lab.over(folder, 120), kept)
    driver.drive()
    assert driver.false == []
    lab.nothing_left()
