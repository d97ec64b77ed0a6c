"""The Docker engine of the tests is what the tests of Docker take it for."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from docker import DockerClient
from docker.errors import APIError, ImageNotFound, NotFound
from docker.types import DeviceRequest

from tests.engine import namespaces, requirements
from tests.engine.images import BASE, MPI, TINY
from tests.engine.layout import DEFAULT_ROOT, Layout
from tests.engine.machine import attach, up
from tests.processes import listens, run
from tests.sessions import claimed_root

if TYPE_CHECKING:
    from collections.abc import Generator

    from tests.engine.images import Image
    from tests.engine.machine import Engine
    from tests.engine.registry import Registry

REPOSITORY = Path(__file__).parents[2]
IDLE = ["sh", "-c", "trap 'exit 3' TERM; while :; do sleep 0.1; done"]


@contextmanager
def another() -> Generator[Engine]:
    """Give an engine that a test may kill."""
    with claimed_root(DEFAULT_ROOT) as root:
        made = up(Layout(root=root))
        try:
            yield made
        finally:
            made.down()
            shutil.rmtree(root)


def said(engine: Engine, image: Image, *words: str, **options: Any) -> str:
    """Return what a command prints in a container of its own."""
    containers: Any = engine.client().containers
    out: bytes = containers.run(engine.image(image), [*words], remove=True, stderr=True, **options)
    return out.decode().strip()


def idle(engine: Engine, name: str, **options: Any) -> int:
    """Start a container that does nothing until it is told to end; return its process on this machine."""
    containers: Any = engine.client().containers
    made = containers.run(engine.image(TINY), IDLE, name=name, detach=True, **options)
    made.reload()
    pid: int = made.attrs["State"]["Pid"]
    return pid


def alive(pid: int) -> bool:
    """Return whether a process runs; one that only waits to be reaped has no command line."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except (FileNotFoundError, ProcessLookupError):
        return False


def left(layout: Layout) -> list[str]:
    """Return what is left of an engine on this machine, beside its logs."""
    links = json.loads(run("ip", "-json", "link", "show"))
    mounts = [path for path in Path("/proc").glob("[0-9]*/mountinfo") if mentions(path, layout.root)]
    files = [str(path) for path in layout.root.iterdir() if path != layout.logs]
    return [
        *(f"process {pid}" for pid in namespaces.members(layout)),
        *(f"link {link['ifname']}" for link in links if link.get("ifalias") == str(layout.root)),
        *(line for line in run("nft", "list", "tables").splitlines() if line.endswith(layout.name)),
        *map(str, [*namespaces.cgroups(layout), *mounts, *files]),
    ]


def mentions(path: Path, root: Path) -> bool:
    try:
        return f"{root}/" in path.read_text(encoding="utf-8")
    except OSError:
        return False


def test_nothing_is_left_after_down_or_of_a_killed_engine(engine: Engine) -> None:
    with claimed_root(DEFAULT_ROOT) as root:

        def command(verb: str) -> str:
            line = [sys.executable, "-m", "tests.engine", "--state", str(root), verb]
            done = subprocess.run(line, cwd=REPOSITORY, capture_output=True, text=True, check=False)
            assert not done.returncode, done.stderr
            return done.stdout

        command("up")
        assert f"export DOCKER_HOST=unix://{root}/docker.sock" in command("env")
        first = attach(root)
        assert first.layout.slot != engine.layout.slot
        assert len(first.layout.host) < 60
        first.registry()
        idle(first, "again", restart_policy={"Name": "always"})
        idle(first, "beside", pid_mode="host", network=first.client().networks.create("mine").name)
        first.client().close()
        found = namespaces.members(first.layout)
        assert len(found) > 5
        for pid in found:
            with suppress(ProcessLookupError):  # containerd dies with dockerd
                os.kill(pid, signal.SIGKILL)

        command("up")
        second = attach(root)
        assert second.containers() == second.networks() == []
        old = idle(second, "again", restart_policy={"Name": "always"})
        second.client().close()
        command("down")
        assert not alive(old)
        assert left(second.layout) == []
        shutil.rmtree(root)


def test_engines_live_side_by_side(engine: Engine) -> None:
    with another() as second:
        pids = [idle(one, "same") for one in (engine, second)]
        assert all(map(alive, pids))
        assert "same" in engine.containers()
        assert second.containers() == ["same"]
        addresses = {one.exec(["hostname", "-I"]).stdout.split()[0] for one in (engine, second)}
        assert addresses == {engine.layout.address, second.layout.address}
        for one in (engine, second):
            one.client().containers.get("same").remove(force=True)
        assert not any(map(alive, pids))
    assert engine.client().ping()


def test_clients_know_nothing_of_the_users_own_engine(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONTEXT", "elsewhere")
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    here = {name: value for name, value in engine.env.items() if name.startswith("DOCKER_")}
    assert here == {"DOCKER_HOST": engine.host, "DOCKER_CONFIG": str(engine.layout.client)}
    assert [path.name for path in engine.layout.client.iterdir()] == ["config.json"]
    client = DockerClient.from_env(environment=engine.env)
    assert client.info()["ID"] == engine.client().info()["ID"]
    client.close()


def test_images_hold_what_they_say(engine: Engine) -> None:
    assert said(engine, TINY, "sh", "-c", "command -v python3 || echo none") == "none"
    assert said(engine, BASE, "python3", "-c", "import ssl, sys; print(sys.version_info[:2])") == "(3, 11)"
    assert said(engine, BASE, "pip", "--version").startswith("pip ")
    assert said(engine, BASE, "dpkg", "--audit") == ""
    ranks = said(engine, MPI, "mpirun", "--allow-run-as-root", "--oversubscribe", "-np", "2", "printenv")
    assert {f"OMPI_COMM_WORLD_RANK={rank}" for rank in range(2)} <= {*ranks.splitlines()}


def test_an_image_is_made_once(engine: Engine) -> None:
    name = engine.image(TINY)
    first = engine.client().images.get(name).id
    assert engine.image(TINY) == name == "launcher-test/tiny:1"
    assert engine.client().images.get(name).id == first


def test_containers_reach_the_package_index(engine: Engine) -> None:
    get = "apt-get -o Acquire::Retries=3 -qq update && cd /tmp && apt-get -qq download hello && ls"
    assert said(engine, BASE, "sh", "-c", get).endswith(".deb")


def test_containers_of_a_network_find_one_another_and_nobody_else(engine: Engine) -> None:
    network = engine.client().networks.create("launcher-test")
    assert "launcher-test" in engine.networks()
    try:
        idle(engine, "server", network="launcher-test")
        assert "1 packets received" in said(
            engine, TINY, "ping", "-c", "1", "-W", "5", "server", network="launcher-test"
        )
        assert said(engine, TINY, "sh", "-c", "ping -c 1 server >/dev/null 2>&1 || echo nobody") == "nobody"
    finally:
        engine.client().containers.get("server").remove(force=True)
        network.remove()
    assert "launcher-test" not in engine.networks()


def test_a_request_for_gpus_starts(engine: Engine) -> None:
    wanted = DeviceRequest(device_ids=["0", "2"], capabilities=[["gpu"]])
    assert "NVIDIA_VISIBLE_DEVICES=0,2" in said(engine, TINY, "env", device_requests=[wanted])


def test_the_registry_asks_for_its_password(engine: Engine, registry: Registry) -> None:
    images: Any = engine.client().images
    repository = f"{registry.address}/team/tiny"
    images.get(engine.image(TINY)).tag(repository, "1")
    assert "no basic auth credentials" in images.push(repository, "1")
    assert '"Digest"' in images.push(repository, "1", auth_config=registry.auth)
    (digest,) = images.get(f"{repository}:1").attrs["RepoDigests"]
    images.remove(f"{repository}:1")
    with pytest.raises(APIError, match="no basic auth credentials"):
        images.pull(repository, "1")
    with pytest.raises(APIError, match="unauthorized"):
        images.pull(repository, "1", auth_config={**registry.auth, "password": "wrong"})
    with pytest.raises(NotFound, match="manifest unknown"):
        images.pull(repository, "2", auth_config=registry.auth)
    assert images.pull(digest, auth_config=registry.auth).attrs["RepoDigests"] == [digest]

    registry.stop()
    with pytest.raises(APIError, match="connection refused"):
        images.pull(repository, "1", auth_config=registry.auth)
    registry.start()
    assert images.pull(repository, "1", auth_config=registry.auth).attrs["RepoDigests"] == [digest]
    images.remove(f"{repository}:1", force=True)
    with pytest.raises(ImageNotFound):
        images.get(f"{repository}:1")


def test_what_runs_in_containers_outlives_a_killed_dockerd() -> None:
    with another() as engine:
        pid = idle(engine, "outlives")
        engine.kill()
        assert alive(pid)
        assert not listens(str(engine.layout.socket))
        engine.start(live_restore=True)
        container = engine.client().containers.get("outlives")
        assert (container.status, container.attrs["State"]["Pid"]) == ("running", pid)

        engine.kill()
        engine.start()
        assert not alive(pid)
        container.reload()
        assert (container.status, container.attrs["State"]["ExitCode"]) == ("exited", 3)
        assert engine.image(TINY) == TINY.name


def test_what_is_missing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dpkg-query").symlink_to("/usr/bin/dpkg-query")
    monkeypatch.setenv("PATH", str(tmp_path))
    (packages,) = requirements.missing()
    assert "apt-get install apache2-utils busybox-static docker-registry docker.io" in packages


@pytest.mark.parametrize("root", ["/var/tmp/launcher engine", "/var/tmp/" + "long" * 20])
def test_a_folder_that_sockets_and_mounts_cannot_name_is_refused(root: str) -> None:
    with pytest.raises(ValueError, match="short and plain"):
        up(Layout(root=Path(root)))


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(FileExistsError, match=r"thesis\.tex"):
        up(Layout(root=tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == {"data", "thesis.tex"}
