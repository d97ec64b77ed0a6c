"""`compute check` and `compute clean` with a real engine."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from launcher.agent.base import process_identity
from launcher.spec import State
from tests.integration.docker.lab import Boxed
from tests.integration.docker.test_kills import begin, kill, processes
from tests.processes import wait_for


@pytest.fixture
def lab(lab: Boxed, tmp_path: Path) -> Boxed:
    """Launches into containers, with a TMPDIR of their own."""
    (tmp_path / "tmp").mkdir()
    lab.env["TMPDIR"] = str(tmp_path / "tmp")
    return lab


def check(lab: Boxed, *words: str) -> tuple[int, dict[str, tuple[str, str]]]:
    """Return the exit code, and level and text of each row."""
    done = lab.command("compute", "check", "compute=docker", "--json", *words)
    assert done.stdout, done.stderr
    rows: list[dict[str, Any]] = json.loads(done.stdout)["rows"]
    return done.returncode, {row["what"]: (row["level"], f"{row['found']} > {row['next']}") for row in rows}


def clean(lab: Boxed, *words: str) -> list[tuple[str, str]]:
    done = lab.command("compute", "clean", "--json", *words)
    assert done.returncode == 0, done.stderr
    return [(row["what"], row["name"]) for row in json.loads(done.stdout)["removed"]]


def test_an_engine_where_all_is_well(lab: Boxed) -> None:
    code, rows = check(lab)
    assert (code, {level for level, _ in rows.values()} - {"ok", "warn"}) == (0, set()), rows
    assert f"{lab.engine.host} (DOCKER_HOST), version " in rows["engine"][1]
    for folder in (lab.store.root, lab.env["LAUNCHER_CACHE"], lab.env["TMPDIR"]):
        assert str(folder) in rows["folders"][1]
    assert rows["folders"][0] == rows["machine"][0] == rows["leftovers"][0] == "ok"
    assert str(lab.engine.layout.data) in rows["disk"][1]
    assert not lab.store.root.exists()
    assert lab.engine.containers() == lab.before


def test_what_is_asked_for_and_is_not_there(lab: Boxed) -> None:
    code, rows = check(lab, "memory_gib=100000", "gpus_per_node=3", "compute.mounts=[/nonesuch:/x]")
    assert code == 1
    assert [rows[what][0] for what in ("memory", "GPUs", "options")] == ["bad"] * 3
    assert "/nonesuch does not" in rows["options"][1]


def test_folders_that_the_engine_does_not_see(lab: Boxed) -> None:
    """Such as those of a user with a /tmp of its own."""
    lab.env["TMPDIR"] = "/run/docker"  # of which this engine has another
    if not os.access("/run/docker", os.W_OK):
        pytest.skip("there is no /run/docker that this user can write")
    code, rows = check(lab)
    assert code == 1
    assert "the engine does not see /run/docker > Choose others" in rows["folders"][1]


def test_registries_by_name(lab: Boxed, tmp_path: Path) -> None:
    (tmp_path / "client").mkdir()
    auths = {"registry.example.org": {"auth": "aGlkZGVuOmhpZGRlbg=="}}
    (tmp_path / "client" / "config.json").write_text(json.dumps({"auths": auths}))
    lab.env["DOCKER_CONFIG"] = str(tmp_path / "client")
    done = lab.command("compute", "check", "compute=docker", "--json")
    assert "logged in at registry.example.org" in done.stdout
    assert "aGlk" not in done.stdout


def test_after_supervisor_guard_and_helper_were_killed_together(lab: Boxed) -> None:
    run = begin(lab)
    boxes = [str(box["Name"]).lstrip("/") for box in lab.boxes()]
    [network] = lab.engine.networks()
    folders = {path for path in Path(lab.env["TMPDIR"]).iterdir() if path.name.startswith("launcher-")}
    assert len(folders) == 2
    assert clean(lab) == []  # all are alive
    others = strangers(lab)
    looking = processes(lab, run)
    assert set(looking) == {"guard", "supervisor", "helper"}
    kill(*looking.values())
    wait_for(lambda: not set(boxes) & set(lab.engine.containers()), "boxes end with their agents")
    never = created(lab, "launcher-0123456789ab", dead())

    code, rows = check(lab)
    assert (code, rows["leftovers"][0]) == (0, "warn")
    assert "1 container, 1 network of killed supervisors" in rows["leftovers"][1]
    expected = [("container", never), ("network", network)]
    expected += sorted(("folder", str(folder)) for folder in folders)
    assert clean(lab, "--dry-run") == expected
    assert lab.engine.networks() == sorted([network, *others[1]])
    told = lab.command("compute", "clean")
    assert told.returncode == 0
    assert "4 removed" in told.stdout
    try:
        assert set(lab.engine.containers()) == {*lab.before, *others[0]}
        assert lab.engine.networks() == others[1]
        assert not any(folder.exists() for folder in folders)
        assert "Nothing was left" in lab.command("compute", "clean").stdout
    finally:
        api: Any = lab.engine.client().api
        for name in others[0]:
            api.remove_container(name, force=True)
        for name in others[1]:
            api.remove_network(name)
    assert lab.over(run).state is State.FAILED
    lab.nothing_left()


def dead() -> dict[str, Any]:
    """Return an owner who is surely gone."""
    return {**process_identity.identity(), "pid": 1, "started": -1}


def created(lab: Boxed, name: str, owner: Any) -> str:
    """Make a container that is not started, of an owner; return its name."""
    labels = {"launcher.owner": json.dumps(owner), "launcher.run": "mnist/9"}
    api: Any = lab.engine.client().api
    api.create_container(lab.image, command=["true"], name=name, labels=labels)
    return name


def strangers(lab: Boxed) -> tuple[list[str], list[str]]:
    """Make what must stay: without labels, under another name, of somebody who lives or cannot be seen."""
    api: Any = lab.engine.client().api
    api.create_container(lab.image, command=["true"], name="launcher-unlabelled")
    elsewhere = {**dead(), "host": "node7", "boot": "other"}
    containers = [
        "launcher-unlabelled",
        created(lab, "somebody-elses", dead()),
        created(lab, "launcher-aaaaaaaaaaaa", process_identity.identity()),
        created(lab, "launcher-bbbbbbbbbbbb", elsewhere),
    ]
    api.create_network("somebody-elses", labels={"launcher.owner": json.dumps(dead())})
    api.create_network(
        "launcher-cccccccccccc", labels={"launcher.owner": json.dumps(process_identity.identity())}
    )
    return sorted(containers), ["launcher-cccccccccccc", "somebody-elses"]


def test_without_an_engine_it_says_so(lab: Boxed) -> None:
    lab.env["DOCKER_HOST"] = "unix:///nonesuch.sock"
    done = lab.command("compute", "clean")
    assert done.returncode == 1
    assert "were not looked at: unix:///nonesuch.sock" in done.stderr
    assert "Traceback" not in done.stderr
