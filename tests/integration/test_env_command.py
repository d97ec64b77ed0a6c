"""`env` with images in a real engine, and environments that are really built."""

from __future__ import annotations

import json
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from launcher.agent.base import process_identity
from launcher.environment.cache.image_names import LAYERS, REPOSITORY
from tests.engine.images import BASE
from tests.integration.conftest import until
from tests.integration.docker.lab import SLEEPS, Boxed
from tests.integration.test_environments import put_wheel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.engine.machine import Engine

pytestmark = pytest.mark.slow


class Built(Boxed):
    """Launches whose environment is built from an index of the test's own."""

    def __init__(self, folder: Path, engine: Engine) -> None:
        super().__init__(folder, engine)
        put_wheel(folder / "index", "demo", "1")
        self.env["PIP_FIND_LINKS"] = str(folder / "index" / "demo")
        self.env["PIP_NO_INDEX"] = "1"
        self.script("import demo\nprint(demo.version)\n")

    def words(self, *more: str) -> list[str]:
        """Return the words of such a launch."""
        fixed = ["framework=python", "data=none", f"source={self.source}", "environment=packages"]
        return [*fixed, "script=script.py", "environment.pip_packages=[demo]", *more]

    def image_words(self, *more: str) -> list[str]:
        """Return those of one into an image."""
        base = f"environment.base_image={self.engine.image(BASE)}"
        return self.words("compute=docker", base, "environment.dockerfile_lines=[RUN true]", *more)

    def env_command(self, *words: str) -> Any:
        """Return what a verb of `env` tells."""
        done = self.command("env", *words, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def images(self, repository: str) -> list[str]:
        """Return the tags of a repository in the engine."""
        api: Any = self.engine.client().api
        return sorted(tag for one in api.images(name=repository) for tag in one["RepoTags"])

    def pruned(self, *words: str) -> list[tuple[str, str | None]]:
        """Return the kinds of what was removed, each with why it was not."""
        return [(row["kind"], row["problem"]) for row in self.env_command("prune", *words)["removed"]]


@pytest.fixture
def lab(tmp_path: Path, engine: Engine) -> Iterator[Built]:
    made = Built(tmp_path, engine)
    yield made
    made.clean_up()
    api: Any = engine.client().api
    for repository in (REPOSITORY, LAYERS):
        for tag in made.images(repository):
            api.remove_image(tag, force=True)


def test_an_image_is_built_once_listed_used_and_pruned(lab: Built) -> None:
    built = lab.env_command("build", *lab.image_words())
    assert (built["built"], built["kind"], built["prefix"]) == (True, "packages", None)
    again = lab.env_command("build", *lab.image_words())
    assert (again["built"], again["image"]) == (False, built["image"])
    assert not lab.store.root.exists()

    [entry] = lab.env_command("list")
    assert (entry["key"], entry["kind"], entry["wants"]) == (built["key"], "image", ["demo"])
    assert entry["image"] == f"{REPOSITORY}:{built['key'][:20]}"
    assert (entry["runs"], time.time() - entry["used"] < 60) == (0, True)
    shown = lab.env_command("show", built["key"][:5])
    assert "demo==1" in shown["packages"]
    assert shown["log"].endswith("build.log")

    done = lab.command(*lab.image_words())
    assert done.returncode == 0, done.stderr
    assert lab.log() == "1\n"
    assert lab.env_command("list")[0]["runs"] == 1
    assert lab.pruned() == []
    assert lab.pruned("--all", "--dry-run") == [("image", None), ("layers", None)]
    assert lab.pruned("--all") == [("image", None), ("layers", None)]
    assert lab.images(REPOSITORY) == lab.images(LAYERS) == lab.env_command("list") == []
    assert lab.engine.image(BASE) in lab.images(BASE.repository)


def test_what_a_run_has_stays(lab: Built) -> None:
    lab.script(f"import os\nos.execvp('sh', ['sh', '-c', '{SLEEPS}'])\n")
    done = lab.command(*lab.image_words("wait=false"))
    assert done.returncode == 0, done.stderr
    lab.running(lab.run(), "up")
    assert lab.env_command("list")[0]["runs_open"] == 1
    assert lab.pruned("--all") == []
    other = lab.env_command("prune", "--all", "--store", f"{lab.store.root}-other")["removed"]
    assert "is using its referenced image" in other[0]["problem"] or "must be forced" in other[0]["problem"]
    assert lab.images(REPOSITORY)
    assert lab.command("runs", "cancel", "mnist/1").returncode == 0
    lab.over(lab.run())
    lab.nothing_left()


def test_images_of_others_stay(lab: Built) -> None:
    built = lab.env_command("build", *lab.image_words())
    client: Any = lab.engine.client()
    client.images.get(built["image"]).tag("somebody-elses/made-from-it", "1")
    try:
        assert len(lab.env_command("list")) == 1
        assert lab.pruned("--all") == [("image", None)]  # the layers carry theirs
        assert lab.images("somebody-elses/made-from-it")
    finally:
        client.images.remove("somebody-elses/made-from-it:1", force=True)


def test_what_a_killed_build_has_committed(lab: Built) -> None:
    client: Any = lab.engine.client()
    gone = {**process_identity.identity(), "boot": "an earlier one"}
    made: list[str] = []
    try:
        for owner in (json.dumps(gone), ""):
            box = client.containers.create(lab.image, ["true"], labels={"launcher.owner": owner})
            made.append(box.commit().id)
            box.remove()
        assert lab.pruned() == [("image", None)]
        assert [one["Id"] for one in client.api.images(filters={"dangling": True})] == [made[1]]
    finally:
        client.images.remove(made[1])


def test_a_build_that_is_killed(lab: Built) -> None:
    words = lab.image_words("environment.dockerfile_lines=[RUN sleep 300]")
    building = lab.popen("env", "build", *words)
    until(lambda: [row["kind"] for row in lab.env_command("list")] == ["building"], "a build")
    assert lab.pruned("--all") == []
    building.send_signal(signal.SIGKILL)
    building.communicate()
    assert [row["kind"] for row in lab.env_command("list")] == ["unfinished"]
    assert lab.pruned() == [("unfinished", None)]
    assert lab.env_command("list") == []


def test_without_an_engine_the_rest_is_told(lab: Built) -> None:
    built = lab.env_command("build", *lab.words())
    lab.env["DOCKER_HOST"] = "unix:///nonesuch.sock"
    done = lab.command("env", "list")
    assert (done.returncode, built["key"][:12] in done.stdout) == (0, True)
    assert "Images are left out: unix:///nonesuch.sock" in done.stderr
    assert lab.env_command("list")[0]["wants"] == ["demo"]
    assert lab.env_command("build", *lab.words())["built"] is False
    assert lab.pruned("--all") == [("packages", None)]


def test_all_environments_of_a_sweep(lab: Built) -> None:
    built = lab.env_command("build", "-m", *lab.words("environment.pip_packages=[demo],[]", "args.x=1,2"))
    assert len(built) == 2
    assert all(made["python"] != sys.executable for made in built)


def test_what_cannot_be_built(lab: Built) -> None:
    done = lab.command("env", "build", *lab.words("environment.pip_packages=[no-such-thing]"))
    assert done.returncode == 1
    assert "no-such-thing" in done.stderr
    assert [row["kind"] for row in lab.env_command("list")] == ["unfinished"]
