"""`compute check compute=docker`: what rows an engine's answers make, and where there is no engine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from launcher.__main__ import main
from launcher.compute.check_docker import GPU_HOOK, engine_rows
from launcher.engine.about import About, chosen_by, registries
from launcher.engine.made import Made
from launcher.facts import Engine, Facts
from launcher.paths import StoreFolder
from launcher.spec import Resources

MARKS = {Path("/store/mark"): Path("/store"), Path("/cache/mark"): Path("/cache")}
ABOUT = About(
    machine="here", kernel=os.uname().release, root="/", driver="overlay2", runtimes=("runc",), devices=(),
    lacks=(), abandoned=(), unseen=(),
)  # fmt: skip
FACTS = Facts(engine=Engine(address="unix:///x", version="28", cpus=4, memory_mib=8192))
TWO_GPUS = replace(FACTS, gpus=("0", "1"))
LEFT = (Made("container", "a", "mnist/1"), Made("network", "b", ""), Made("network", "c", ""))


@pytest.fixture(autouse=True)
def own_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Docker's configuration of nobody."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "client"))
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "client").mkdir()
    (tmp_path / "client" / "config.json").write_text("{}")
    return tmp_path / "client" / "config.json"


def table(about: About = ABOUT, facts: Facts = FACTS, **resources: Any) -> dict[str, tuple[str, str]]:
    rows = engine_rows(Resources(**resources), facts, about, MARKS)
    return {row.what: (row.level, f"{row.found} > {row.next}") for row in rows}


def test_an_engine_that_has_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("launcher.compute.check_docker.LOW_GIB", 0)
    rows = table()
    assert {level for level, _ in rows.values()} == {"ok"}
    assert rows["folders"][1].startswith("the engine sees /store, /cache >")


@pytest.mark.parametrize(
    ("about", "facts", "wanted", "told"),
    [
        ({"kernel": "5.10-vm"}, {}, {}, "machine bad it runs on another: here, kernel 5.10-vm"),
        ({"unseen": (Path("/cache/mark"),)}, {}, {}, "folders bad the engine does not see /cache > Choose"),
        ({"unseen": None}, {}, {}, "folders warn this engine tells only containers"),
        ({"lacks": ("memory",)}, {}, {}, "limits warn its kernel cannot limit memory"),
        ({"root": "/nonesuch"}, {}, {}, "disk warn /nonesuch (overlay2) is not seen from here"),
        (
            {"abandoned": LEFT},
            {},
            {},
            "leftovers warn 1 container, 2 networks of killed supervisors > python -m",
        ),
        ({}, {}, {"cpus_per_process": 5}, "CPUs bad 4 for each node, 5 asked for"),
        ({}, {}, {"memory_gib": 9.0}, "memory bad 8.0 GiB, 9 GiB asked for"),
        ({}, {}, {"gpus_per_node": 1}, "GPUs bad none, 1 asked for"),
        ({}, {"rootless": True}, {}, "users ok rootless"),
        ({}, {"remapped": True}, {}, "users ok userns-remap"),
    ],
)
def test_what_is_wrong_there(
    about: dict[str, Any], facts: dict[str, Any], wanted: dict[str, Any], told: str
) -> None:
    assert FACTS.engine is not None
    changed = replace(FACTS, engine=replace(FACTS.engine, **facts))
    what = told.partition(" ")[0]
    level, words = table(replace(ABOUT, **about), changed, **wanted)[what]
    assert f"{what} {level} {words}".startswith(told)


@pytest.mark.parametrize(
    ("about", "wanted", "level", "words"),
    [
        ({"runtimes": ("nvidia", "runc")}, 2, "ok", "2 (0, 1); the engine has NVIDIA's runtime"),
        ({"devices": ("nvidia.com/gpu=0",)}, 1, "ok", "CDI"),
        ({}, 0, "warn", "nothing tells that the engine can give them"),
        ({}, 1, "bad", "Container Toolkit"),
    ],
)
def test_gpus(about: dict[str, Any], wanted: int, level: str, words: str) -> None:
    row = table(replace(ABOUT, **about), TWO_GPUS, gpus_per_node=wanted)["GPUs"]
    assert row[0] == level
    assert words in row[1]


def test_gpus_by_a_hook_of_which_the_engine_does_not_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / GPU_HOOK).write_text("#!/bin/sh\n")
    (tmp_path / GPU_HOOK).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    level, words = table(facts=TWO_GPUS, gpus_per_node=1)["GPUs"]
    assert (level, "tells no more" in words) == ("ok", True)


def test_registries_are_named_without_their_secrets(own_config: Path) -> None:
    assert registries() == ()
    auths = {"https://index.docker.io/v1/": {"auth": "c2VjcmV0"}, "localhost:5000": {"auth": "c2VjcmV0"}}
    config = {"auths": auths, "credsStore": "pass", "credHelpers": {"ghcr.io": "x"}}
    own_config.write_text(json.dumps(config))
    assert registries() == ("ghcr.io", "index.docker.io", "localhost:5000", "those of docker-credential-pass")
    assert "c2VjcmV0" not in str(table())
    own_config.write_text("{")
    assert registries() == ()
    own_config.unlink()


def test_what_names_the_engine(own_config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen_by() == "context default"
    own_config.write_text('{"currentContext": "mine"}')
    assert chosen_by() == "context mine"
    monkeypatch.setenv("DOCKER_CONTEXT", "other")
    assert chosen_by() == "DOCKER_CONTEXT=other"
    monkeypatch.setenv("DOCKER_HOST", "unix:///x")
    assert chosen_by() == "DOCKER_HOST"


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("unix:///nonesuch.sock", "Is an engine running"),
        ("tcp://192.0.2.1:2375", "it is on another machine"),
    ],
)
def test_without_an_engine(
    store: StoreFolder, host: str, words: str, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("DOCKER_HOST", host)
    assert main(["compute", "check", "compute=docker", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    rows = {row["what"]: row for row in told["rows"]}
    assert (told["compute"], rows["SDK"]["level"], rows["engine"]["level"]) == ("docker", "ok", "bad")
    assert words in rows["engine"]["found"]
    assert not store.root.exists()


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["compute", "check", "compute=docker"], 1),
        (["compute", "clean"], 1),
        (["env", "list"], 0),
        (["env", "prune", "--all"], 0),
    ],
)
@pytest.mark.usefixtures("store")
def test_without_the_sdk(tmp_path: Path, words: list[str], code: int) -> None:
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "docker.py").write_text("raise ImportError(\"No module named 'docker'\")\n")
    env = {**os.environ, "PYTHONPATH": f"{tmp_path / 'none'}:{os.environ['PYTHONPATH']}"}
    done = subprocess.run(
        [sys.executable, "-m", "launcher", *words], env=env, capture_output=True, text=True, check=False
    )
    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
    assert "launcher[docker]" in done.stdout + done.stderr
