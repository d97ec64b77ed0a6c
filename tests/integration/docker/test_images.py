"""Images as environments: built from packages, brought from registries, on a real engine."""

from __future__ import annotations

import base64
import json
import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from launcher.paths import cache_root
from launcher.store.runs import read_run
from tests.engine.images import BASE, MPI, TINY
from tests.integration.conftest import until
from tests.integration.docker.lab import Boxed
from tests.local_package import put_package

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.engine.registry import Registry

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

SIX = "import six, sys; print(sys.executable, six.__version__)"


@pytest.fixture
def lab(lab: Boxed) -> Iterator[Boxed]:
    """Launches into containers, whose images are removed."""
    yield lab
    api: Any = lab.engine.client().api
    for image in api.images():  # of this test alone: its cache is its own as well
        for tag in image["RepoTags"] or ():
            if tag.startswith("launcher/"):
                api.remove_image(tag, force=True)


def packages(lab: Boxed, *more: str) -> tuple[str, ...]:
    """Return the words of an environment that is built on the base image."""
    base = (
        []
        if any("base_image=" in word for word in more)
        else [f"environment.base_image={lab.engine.image(BASE)}"]
    )
    return ("environment=packages", *base, *more)


def build_log(lab: Boxed) -> str:
    """Return what the newest build said."""
    logs = sorted(
        (lab.source.parent / "cache" / "environments").glob("*/build.log"), key=lambda it: it.stat().st_mtime
    )
    return logs[-1].read_text()


def images(lab: Boxed, repository: str = "launcher/environment") -> list[str]:
    """Return the tags of a repository."""
    api: Any = lab.engine.client().api
    return [tag for image in api.images(repository) for tag in image["RepoTags"] or ()]


def test_packages_are_installed_once(lab: Boxed) -> None:
    """Five launches at the same moment build one image."""
    lab.script(SIX)
    words = packages(lab, "environment.pip_packages=[six==1.16.0]")
    with ThreadPoolExecutor(5) as pool:
        tasks = [pool.submit(lab.launch, *words, "name=n") for _ in range(5)]
        done = [task.result() for task in tasks]
    assert [each.returncode for each in done] == [0] * 5, done[0].stderr
    assert len(images(lab)) == 1
    assert sum("Resolving packages" in each.stderr for each in done) == 1
    for number in range(1, 6):
        run = lab.store.run("n", number)
        assert (run.logs / "worker-0.log").read_text() == "/usr/bin/python3 1.16.0\n"
        assert read_run(run).submit["environment"]["packages"] == ["six==1.16.0"]
    assert "six==1.16.0" in build_log(lab)
    lab.nothing_left()


def test_packages_of_ones_own_folders(lab: Boxed, tmp_path: Path) -> None:
    put_package(tmp_path / "sub" / "pkgx", "value = 'x'\n")
    put_package(tmp_path / "pkgy", "value = 'y'\n")
    (tmp_path / "requirements.txt").write_text("-r sub/more.txt\n")
    (tmp_path / "sub" / "more.txt").write_text("-e ./pkgx\n")
    lab.script("import pkgx, pkgy; print(pkgx.value, pkgy.value)")
    words = packages(
        lab,
        f"environment.requirements_file={tmp_path}/requirements.txt",
        f"environment.pip_packages=[{tmp_path}/pkgy]",
    )
    done = lab.launch(*words)
    assert done.returncode == 0, done.stderr
    assert lab.log() == "x y\n"
    assert read_run(lab.run()).submit["environment"]["packages"][-2:] == [
        f"pkgx @ {(tmp_path / 'sub' / 'pkgx').as_uri()}",
        f"pkgy @ {(tmp_path / 'pkgy').as_uri()}",
    ]
    put_package(tmp_path / "pkgy", "value = 'changed'\n")
    assert lab.launch(*words).returncode == 0
    assert lab.log(0, 2) == "x changed\n"
    put_package(tmp_path / "pkgy", "1 / 0\n")
    done = lab.launch(*words)
    assert done.returncode == 1
    assert "pkgy 1: importing pkgy failed: ZeroDivisionError" in done.stderr


def test_layers_are_kept_where_they_are_the_same(lab: Boxed) -> None:
    lab.script("import six; print(open('/etc/mine').read(), six.__version__)")
    lines = packages(lab, "environment.dockerfile_lines=['RUN date +%s%N >/etc/mine']")
    first, second = (
        lab.launch(*lines, f"environment.pip_packages=[six=={version}]") for version in ("1.15.0", "1.16.0")
    )
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    (made, old), (kept, new) = (lab.log(0, number).split() for number in (1, 2))
    assert (made, old, new) == (kept, "1.15.0", "1.16.0")
    assert "Using cache" in build_log(lab)
    [*tags] = images(lab)
    assert len(tags) == 2


def test_the_image_is_as_its_base_was(lab: Boxed, tmp_path: Path) -> None:
    """Entry point, command and user are the base's; nothing of this machine is in it."""
    api: Any = lab.engine.client().api
    base = lab.engine.image(BASE)
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("six==1.16.0\n")
    lab.script(SIX)
    done = lab.launch(*packages(lab, f"environment.requirements_file={requirements}"))
    assert done.returncode == 0, done.stderr
    [tag] = images(lab)
    before, after = (api.inspect_image(name)["Config"] for name in (base, tag))
    for key in ("Entrypoint", "Cmd", "WorkingDir"):
        assert (after[key] or None) == (before[key] or None), key
    assert set(after["Env"]) - set(before["Env"]) <= {f"PATH={_PATH}"}  # which the engine gives anyway
    assert after["User"] == "root"  # as the base's, which names none
    history = json.dumps(api.history(tag))
    assert str(tmp_path) not in history
    containers: Any = lab.engine.client().containers
    there, left = (
        containers.run(name, ["find", "/tmp", "/root"], remove=True).decode().split() for name in (base, tag)
    )
    assert sorted(left) == sorted(there)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["environment.pip_packages=[no-such-package-of-launcher]"], "no-such-package-of-launcher"),
        (["environment.dockerfile_lines=['RUN exit 3']"], "returned a non-zero code: 3"),
        (["framework=tensorflow", "framework.version=1.15", "environment.python=null"], "has Python 3.11.2"),
        ([f"environment.base_image={TINY.name}", "environment.pip_packages=[six]"], "has no python3"),
        (
            [f"environment.base_image={BASE.name}", "environment.conda_packages=[six]"],
            "neither conda nor micromamba",
        ),
    ],
)
def test_what_cannot_be_built_is_told(lab: Boxed, words: list[str], told: str) -> None:
    lab.script("print()")
    done = lab.launch(*packages(lab, *words))
    assert done.returncode == 1
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert images(lab) == []
    lab.nothing_left()


def test_conda_packages_where_the_base_has_it(lab: Boxed) -> None:
    """With a micromamba that only notes what it was asked for: the channels are out of reach."""
    noting = """RUN { echo '#!/bin/sh'; echo 'echo "$@" >>/etc/asked'; } >/usr/bin/micromamba"""
    lines = [noting, "RUN chmod 755 /usr/bin/micromamba"]
    lab.script("print(open('/etc/asked').read())")
    done = lab.launch(
        *packages(
            lab,
            "environment.conda_packages=[scipy=1.11]",
            f"environment.dockerfile_lines={json.dumps(lines)}",
        )
    )
    assert done.returncode == 0, done.stderr
    asked = "install --yes --name base --override-channels --channel conda-forge python scipy=1.11"
    assert lab.log().split("\n")[0] == asked


def test_a_killed_build_leaves_nothing(lab: Boxed) -> None:
    lab.script(SIX)
    words = packages(lab, "environment.pip_packages=[six]", "environment.dockerfile_lines=['RUN sleep 5']")
    for pause in ("Step ", "Resolving packages"):
        launch = lab.start(*words)
        assert launch.stderr is not None
        for line in launch.stderr:
            if pause in line:
                break
        launch.kill()
        launch.wait()
    until(lambda: lab.engine.containers() == lab.before, "no container left", 60)
    assert images(lab) == []
    assert lab.launch(*words).returncode == 0
    lab.nothing_left()


def secret_files(lab: Boxed, secret: str) -> list[str]:
    """Return the files of store and cache that hold a secret."""
    roots = (lab.store.root, lab.source.parent / "cache")
    return [
        str(path)
        for root in roots
        for path in root.rglob("*")
        if path.is_file() and secret.encode() in path.read_bytes()
    ]


def login(registry: Registry) -> tuple[str, ...]:
    """Return the words of a login whose password is a secret."""
    return (
        f"environment.registry.address='{registry.address}'",
        f"environment.registry.username={registry.username}",
        "environment.registry.password=${secret:REGISTRY_PASSWORD}",
    )


def test_an_image_is_pushed_and_pulled_by_another_host(lab: Boxed, registry: Registry) -> None:
    lab.script(SIX)
    lab.env["REGISTRY_PASSWORD"] = registry.password
    prefix = f"{registry.address}/team/images"
    words = packages(
        lab, "environment.pip_packages=[six==1.16.0]", f"environment.push='{prefix}'", *login(registry)
    )
    done = lab.launch(*words)
    assert done.returncode == 0, done.stderr
    [tag] = images(lab, prefix)
    first = read_run(lab.run()).submit["environment"]
    assert first["image"].startswith(f"{prefix}@sha256:")
    api: Any = lab.engine.client().api
    api.remove_image(tag, force=True)  # as a host that has never seen it
    again = lab.launch(*words)
    assert again.returncode == 0, again.stderr
    assert "Pulling" in again.stderr
    assert "Resolving packages" not in again.stderr
    assert read_run(lab.run(2)).submit["environment"]["image"] == first["image"]
    # And one that reruns it, by its digest.
    api.remove_image(tag, force=True)
    assert lab.command("runs", "rerun", "mnist/1").returncode == 0
    assert secret_files(lab, registry.password) == []
    assert registry.password not in done.stderr + done.stdout + again.stderr
    api.remove_image(images(lab, prefix)[0] if images(lab, prefix) else first["image"], force=True)


def test_a_private_image(lab: Boxed, registry: Registry, tmp_path: Path) -> None:
    """By a login of the options, by Docker's own configuration, and refused in the registry's words."""
    api: Any = lab.engine.client().api
    private = f"{registry.address}/private/tiny:1"
    api.tag(lab.image, private.rpartition(":")[0], "1")
    assert "error" not in "".join(api.push(private, auth_config=registry.auth))
    api.remove_image(private)
    command = lab.shell("echo in it")
    name = f"environment.image='{private}'"
    done = lab.launch(command, name)
    assert done.returncode == 1
    assert "no basic auth credentials" in lab.cause(lab.run())
    assert "docker login" in lab.cause(lab.run())
    lab.env["REGISTRY_PASSWORD"] = "wrong-word-of-mine"  # noqa: S105  # wrong, and of no use elsewhere
    done = lab.launch(command, name, *login(registry))
    assert done.returncode == 1
    assert "unauthorized" in lab.cause(lab.run(2)).lower()
    assert "refused the login of environment.registry.username" in lab.cause(lab.run(2))
    assert secret_files(lab, "wrong-word-of-mine") == []
    lab.env["REGISTRY_PASSWORD"] = registry.password
    assert lab.launch(command, name, *login(registry)).returncode == 0
    assert lab.log(0, 3) == "in it\n"
    digest = read_run(lab.run(3)).submit["environment"]["image"]
    assert re.fullmatch(rf"{registry.address}/private/tiny@sha256:[0-9a-f]{{64}}", digest)
    api.remove_image(private)
    client = tmp_path / "client"
    client.mkdir()
    lab.env["DOCKER_CONFIG"] = str(client)
    auth = base64.b64encode(f"{registry.username}:{registry.password}".encode()).decode()
    (client / "config.json").write_text(json.dumps({"auths": {registry.address: {"auth": auth}}}))
    assert lab.launch(command, name, "compute.pull=always").returncode == 0
    helper = tmp_path / "bin" / "docker-credential-test"
    helper.parent.mkdir()
    told = json.dumps(
        {"ServerURL": registry.address, "Username": registry.username, "Secret": registry.password}
    )
    helper.write_text(f"#!/bin/sh\ncat >/dev/null\necho '{told}'\n")
    helper.chmod(0o755)
    lab.env["PATH"] = f"{helper.parent}:{lab.env['PATH']}"
    (client / "config.json").write_text(json.dumps({"credHelpers": {registry.address: "test"}}))
    api.remove_image(private)
    assert lab.launch(command, name).returncode == 0
    assert secret_files(lab, registry.password) == []
    api.remove_image(private)


def test_a_missing_tag_and_a_registry_that_is_down(lab: Boxed, registry: Registry) -> None:
    lab.env["REGISTRY_PASSWORD"] = registry.password
    command = lab.shell("true")
    name = f"environment.image='{registry.address}/private/none:1'"
    assert lab.launch(command, name, *login(registry)).returncode == 1
    assert "manifest unknown" in lab.cause(lab.run())
    registry.stop()
    try:
        assert lab.launch(command, name, *login(registry)).returncode == 1
        assert "connection refused" in lab.cause(lab.run(2))
    finally:
        registry.start()


def test_a_program_with_mpi_in_an_image_of_ones_own(lab: Boxed) -> None:
    """What the how-to of the estimators does with an image for CNTK, here with mpi4py on top of the image."""
    lab.env["LAUNCHER_CACHE"] = str(cache_root())  # what is downloaded is
    base = f"environment.base_image={lab.engine.image(MPI)}"
    done = lab.command("experiment=mpi_custom_image", base)
    assert done.returncode == 0, done.stderr
    [name] = lab.store.experiments()
    run = read_run(lab.store.run(name, 1))
    ranks = [process for process in run.processes if process["role"] == "worker"]
    assert {process["node"] for process in ranks} == {"node0", "node1"}
    assert any(package.startswith("mpi4py==") for package in run.submit["environment"]["packages"])
    lab.nothing_left()
