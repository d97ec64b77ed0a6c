"""Dry runs of containers: the engine is asked for nothing; what is shown is what it is asked for later."""

from __future__ import annotations

import shlex
import time
from typing import TYPE_CHECKING, Any

from launcher.engine.boxes import KEEPER
from tests.engine.images import BASE, MPI
from tests.integration.docker.lab import SLEEPS, Boxed

if TYPE_CHECKING:
    from pathlib import Path


def test_nothing_is_touched(lab: Boxed) -> None:
    """Not even to look which MPI an image has."""
    lab.script("print()")
    mine, base = lab.engine.image(MPI), lab.engine.image(BASE)
    api: Any = lab.engine.client().api
    since = int(time.time())
    while int(time.time()) == since:  # events are told by whole seconds
        time.sleep(0.05)
    since += 1
    for words in (
        [f"environment.image={mine}", "distribution=mpi", "nodes=2"],
        ["environment=packages", f"environment.base_image={base}", "environment.pip_packages=[rich]"],
        ["environment.image=registry.example.org/none:1", "compute.pull=always"],
    ):
        done = lab.launch(*words, "dry_run=true")
        assert done.returncode == 0, done.stderr
        assert "docker run --detach" in done.stdout
    assert list(api.events(since=since, until=int(time.time()) + 1, decode=True)) == []
    assert not lab.store.root.exists()
    assert not (lab.store.root.parent / "cache" / "images").exists()


def test_what_is_shown_is_what_is_done(lab: Boxed, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    words = [lab.shell(SLEEPS), "cpus_per_process=1", "memory_gib=0.25", "compute.shm_size_gib=0.5",
             "compute.capabilities=[SYS_PTRACE]", f"compute.mounts=[{tmp_path}/mine:/mine:ro]"]  # fmt: skip
    shown = lab.launch(*words, "dry_run=true").stdout
    [line] = [line for line in shown.splitlines() if line.startswith("  docker run ")]
    argv = shlex.split(line)
    told = dict(word[2:].split("=", 1) for word in argv if word.startswith("--") and "=" in word)
    lab.start(*words)
    lab.running(lab.run(), "up")
    [box] = lab.boxes()
    host, config = box["HostConfig"], box["Config"]
    assert (told["hostname"], told["user"]) == (config["Hostname"], config["User"])
    assert (told["memory"], told["cpus"], told["shm-size"]) == ("256m", "1", "512m")
    assert (host["Memory"], host["NanoCpus"], host["ShmSize"]) == (2**28, 10**9, 2**29)
    assert [told["entrypoint"], *argv[-3:-1]] == [*config["Entrypoint"], "-c", KEEPER]
    assert told["network"] == host["NetworkMode"]
    folder = lab.run().root
    mounts = [word.replace(f"{folder.parent}/N", str(folder)) for word in argv if "type=bind" in word]
    done = {(mount["Source"], bool(mount.get("ReadOnly"))) for mount in host["Mounts"]}
    for mount in mounts:
        source = mount.split("source=")[1].split(",")[0]
        if not any(word in source for word in ("DIGEST", "TMP/")):
            assert (source, mount.endswith(",readonly")) in done
    assert len(mounts) == len(done)
    assert lab.command("runs", "cancel", "mnist/1").returncode == 0
    lab.nothing_left()
