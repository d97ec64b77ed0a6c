"""A cancel works in every phase of a run in containers, and leaves none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.spec import State
from launcher.store.runs import read_run
from tests.integration.cancels import check_cancel, until_state
from tests.integration.conftest import until
from tests.integration.docker.test_engine_dies import BACKEND, SLOW, STEP, running, workbenches
from tests.integration.docker.test_images import images, lab, packages

if TYPE_CHECKING:
    from tests.engine.registry import Registry
    from tests.integration.docker.lab import Boxed

__all__ = ["lab"]

IGNORES = "trap '' TERM; echo up; sleep 600"


def test_while_a_step_of_a_dockerfile_runs(lab: Boxed) -> None:
    lab.script("print()")
    launch = lab.start(*packages(lab, "environment.pip_packages=[six]", STEP))
    until(lambda: running(lab, "echo begun"), "the step")
    check_cancel(lab, launch)
    lab.nothing_left()
    assert images(lab) == []


def test_while_packages_are_installed(lab: Boxed) -> None:
    lab.script("print()")
    package = lab.source.parent / "slow"
    package.mkdir()
    (package / "pyproject.toml").write_text(SLOW)
    (package / "backend.py").write_text(BACKEND)
    launch = lab.start(*packages(lab, f"environment.pip_packages=[{package}]"))
    until(lambda: workbenches(lab), "the container to build in")
    check_cancel(lab, launch)
    lab.nothing_left()
    assert images(lab) == []


def test_while_an_image_is_brought(lab: Boxed, registry: Registry) -> None:
    lab.script("print()")
    with registry.silent():
        launch = lab.start(f"environment.image={registry.address}/never:1")
        until_state(lab, State.PREPARING)
        check_cancel(lab, launch)
    lab.nothing_left()


def test_while_it_waits_and_while_it_runs(lab: Boxed) -> None:
    launch = lab.start("-m", lab.shell(IGNORES), "env.X=1,2", "compute.max_parallel=1")
    lab.running(lab.run(1), "up")
    assert read_run(lab.run(2)).state is State.QUEUED
    check_cancel(lab, launch, number=2, more=True)
    check_cancel(lab, launch)
    lab.nothing_left()


def test_while_its_containers_start(lab: Boxed) -> None:
    launch = lab.start(lab.shell(IGNORES), "distribution=torch", "nodes=4")
    until_state(lab, State.STARTING)
    check_cancel(lab, launch)
    lab.nothing_left()
