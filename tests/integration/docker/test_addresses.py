"""Credentials in addresses while an image is built: they are in no image, record, log or command line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from launcher.agent.base import atomic_json
from tests.engine.images import BASE
from tests.integration.leaks import Watch, leaks
from tests.locked_server import locked_server, put_wheel

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.docker.lab import Boxed

pytestmark = pytest.mark.slow
FOLDERS = ["/etc", "/home", "/root", "/tmp", "/usr", "/var"]


def test_an_image_has_no_credential(lab: Boxed, tmp_path: Path) -> None:
    needle = uuid4().hex
    api: Any = lab.engine.client().api
    site = tmp_path.parent / f"{tmp_path.name}-site"
    gateway = lab.engine.layout.gateway
    with locked_server(site, f"user:{needle}", needle, gateway) as server, Watch(needle) as watch:
        for name in ("toola", "toolb"):
            put_wheel(site, name)
        file = site.parent / f"{site.name}.txt"
        file.write_text(f"--extra-index-url {server.address('simple')}\ntoolb\n")
        lab.env["UV_CACHE_DIR"] = str(tmp_path / "uv")
        lab.script("import toola, toolb; print('both')\n")
        done = lab.launch(
            "environment=packages", f"environment.base_image={lab.engine.image(BASE)}",
            f"environment.pip_packages=['toola @ {server.address('toola-1.0-py3-none-any.whl')}']",
            f"environment.requirements_file={file}",
            f"env.DATABASE={server.address('db', scheme='postgres')}",
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "both" in lab.log()
    submit: dict[str, Any] = atomic_json.read(str(lab.run().submit)) or {}
    image = str(submit["environment"]["image"])
    try:
        assert needle not in json.dumps([api.inspect_image(image), api.history(image)])
        box = api.create_container(image, ["grep", "-rl", needle, *FOLDERS])
        api.start(box)
        assert api.wait(box)["StatusCode"] == 1, api.logs(box)
        api.remove_container(box)
    finally:
        api.remove_image(image, force=True)
    assert needle not in done.stdout + done.stderr
    assert watch.found == set()
    assert leaks(needle, tmp_path) == []
