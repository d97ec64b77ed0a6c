"""Runs again whose image is gone: built again with the same versions, or refused in words."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING, Any

from launcher.spec import State
from launcher.store.runs import read_run
from tests.integration.docker.test_images import images, lab, packages

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.docker.lab import Boxed

__all__ = ["lab"]

NAME = "launcher_test_drift"


def put_wheel(folder: Path, version: str) -> None:
    """Put a wheel of a version into a folder."""
    folder.mkdir(exist_ok=True)
    info = f"{NAME}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{NAME}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{NAME}.py", f"version = {version!r}\n")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", f"{NAME}.py,,\n")


def rerun(lab: Boxed) -> str:
    """Run the first run again; return what that printed."""
    done = lab.command("runs", "rerun", "mnist/1")
    assert "Traceback" not in done.stderr
    assert "Pulling" not in done.stderr
    return f"{done.returncode} {done.stderr}"


def test_an_image_of_packages_that_is_gone(lab: Boxed, tmp_path: Path) -> None:
    put_wheel(tmp_path / "wheels", "1.0")
    lab.env["UV_FIND_LINKS"] = str(tmp_path / "wheels")
    lab.script(f"import {NAME}; print({NAME}.version)")
    done = lab.launch(*packages(lab, f"environment.pip_packages=[{NAME}]"))
    assert done.returncode == 0, done.stderr
    [tag] = images(lab)
    api: Any = lab.engine.client().api
    api.remove_image(tag, force=True)

    assert rerun(lab).startswith("0 ")  # the same is built
    first, second = (read_run(lab.run(number)).submit["environment"] for number in (1, 2))
    assert first["image"] != second["image"]
    assert first["key"] == second["key"]

    put_wheel(tmp_path / "wheels", "2.0")
    api.remove_image(images(lab)[0], force=True)
    assert rerun(lab).startswith("0 ")  # today's would be another
    assert [lab.log(0, number) for number in (1, 2, 3)] == ["1.0\n"] * 3
    assert read_run(lab.run(3)).submit["environment"]["packages"] == first["packages"]

    (tmp_path / "wheels" / f"{NAME}-1.0-py3-none-any.whl").unlink()
    for image in images(lab):
        api.remove_image(image, force=True)
    assert rerun(lab).startswith("1 ")
    assert f"{NAME}==1.0" in lab.cause(lab.run(4)).replace("-", "_")


def test_an_id_is_asked_of_no_registry(lab: Boxed) -> None:
    api: Any = lab.engine.client().api
    container = api.create_container(lab.image, command=["true"])["Id"]
    image = api.commit(container, "launcher-test/once", "1")["Id"]
    api.remove_container(container)
    command = lab.shell("echo in it")
    assert lab.launch(command, "environment.image=launcher-test/once:1").returncode == 0
    api.remove_image("launcher-test/once:1")
    assert rerun(lab).startswith("1 ")
    assert read_run(lab.run(2)).state is State.FAILED
    told = f"environment: {image}: this image is no longer in the engine, and it is in no registry"
    assert told in lab.cause(lab.run(2))
    assert lab.launch(command, f"environment.image='{image}'").returncode == 1
    assert "an id is in no registry" in lab.cause(lab.run(3))
