"""The engine dies while an image is built, brought or kept: the run says so, and what is left is found."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from launcher.spec import State
from launcher.store.runs import read_run
from tests.integration.conftest import until
from tests.integration.docker.test_images import images, lab, packages

if TYPE_CHECKING:
    import subprocess

    from tests.integration.docker.lab import Boxed

__all__ = ["lab"]

STEP = f"environment.dockerfile_lines=['RUN echo {uuid4().hex} >/etc/first','RUN echo begun; sleep 60']"
"""The first line leaves an image that the engine did not have before."""
SLOW = """\
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""
BACKEND = "import time\ndef build_wheel(folder, settings=None, metadata=None):\n    time.sleep(60)\n"


def running(lab: Boxed, text: str) -> bool:
    """Tell whether a container runs whose command has a text."""
    api: Any = lab.engine.client().api
    return any(text in one["Command"] for one in api.containers())


def check_failed(lab: Boxed, launch: subprocess.Popen[str]) -> str:
    """Return the cause of a run whose engine died, in words."""
    _, errors = launch.communicate(timeout=60)
    assert launch.returncode == 1, errors
    assert "Traceback" not in errors
    run = read_run(lab.run())
    assert run.state is State.FAILED
    cause = lab.cause(lab.run())
    assert not [word for word in ("Disconnected", "Protocol", "urllib3", "HTTPConnection") if word in cause]
    return cause


def leftovers(lab: Boxed, *words: str) -> list[tuple[str, str]]:
    """Return what `compute clean` finds."""
    done = lab.command("compute", "clean", "--json", *words)
    assert done.returncode == 0, done.stderr
    return [(row["what"], row["name"]) for row in json.loads(done.stdout)["removed"]]


def untagged(lab: Boxed) -> list[str]:
    api: Any = lab.engine.client().api
    return sorted(image["Id"] for image in api.images(filters={"dangling": True}))


def test_while_a_step_of_a_dockerfile_runs(lab: Boxed) -> None:
    lab.script("print()")
    before = untagged(lab)
    launch = lab.start(*packages(lab, "environment.pip_packages=[six]", STEP))
    until(lambda: running(lab, "echo begun"), "the step")
    lab.engine.kill()
    try:
        cause = check_failed(lab, launch)
    finally:
        lab.engine.start()
    assert "The image could not be built: the engine closed the connection" in cause
    [step] = set(lab.engine.containers()) - set(lab.before)
    assert not step.startswith("launcher-")  # the engine has named it
    assert leftovers(lab, "--dry-run") == [("container", step)]
    assert leftovers(lab) == [("container", step)]
    assert lab.engine.containers() == lab.before
    left = set(untagged(lab)) - set(before)
    assert left
    done = lab.command("env", "prune", "--all", "--json")
    assert done.returncode == 0, done.stderr
    assert set(untagged(lab)) <= set(before)


def test_while_packages_are_installed(lab: Boxed) -> None:
    """The backend of a package sleeps; the container to build in goes with its builder."""
    lab.script("print()")
    package = lab.source.parent / "slow"
    package.mkdir()
    (package / "pyproject.toml").write_text(SLOW)
    (package / "backend.py").write_text(BACKEND)
    requirements = lab.source.parent / "requirements.txt"
    requirements.write_text("./slow\n")
    launch = lab.start(*packages(lab, f"environment.requirements_file={requirements}"))
    until(lambda: workbenches(lab), "the container to build in")
    lab.engine.kill()
    try:
        cause = check_failed(lab, launch)
    finally:
        lab.engine.start()
    assert "Failed environment: " in cause
    assert "engine" in cause
    leftovers(lab)
    until(lambda: not workbenches(lab), "no container left")
    assert images(lab) == []


def workbenches(lab: Boxed) -> list[str]:
    """Return the containers that this package has named."""
    return [name for name in set(lab.engine.containers()) - set(lab.before) if name.startswith("launcher-")]
