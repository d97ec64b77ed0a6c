"""The records of a sweep: what was asked for, and which run is a member's."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from launcher.errors import NotFoundError, StoreError
from launcher.paths import RunFolder, StoreFolder
from launcher.spec import State
from launcher.store import records
from launcher.store.find import find_runs
from launcher.store.runs import delete, finish, read_run, request_cancel
from launcher.store.sweeps import (
    NewMember,
    Sweep,
    claim,
    config_digest,
    create_sweep,
    find_sweep,
    frozen_text,
    list_sweeps,
    read_sweep,
    state_of,
)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StoreFolder:
    monkeypatch.setenv("LAUNCHER_CACHE", str(tmp_path / "cache"))
    return StoreFolder(tmp_path / "store")


@pytest.fixture(scope="module")
def nobody() -> dict[str, Any]:
    """The owner record of a process that is no more."""
    script = "import json; from launcher.agent.base import process_identity"
    script += "; print(json.dumps(process_identity.identity()))"
    return json.loads(subprocess.check_output([sys.executable, "-c", script]))


def recorded(store: StoreFolder, number: int, owner: Any, **fields: Any) -> RunFolder:
    folder = store.run("mnist", number)
    folder.root.mkdir(parents=True)
    submit: dict[str, Any] = {
        "id": folder.id,
        "created": float(number),
        "owner": owner,
        "phases": [],
        "sweep": "5eed",
    }
    folder.submit.write_text(json.dumps({**submit, **fields}))
    return folder


def made(store: StoreFolder, *runs: RunFolder, name: str = "5eed") -> Sweep:
    members = [NewMember(run, (f"x={place}",), f"x: {place}\n", "d") for place, run in enumerate(runs)]
    line = {"overrides": ["x=0,1"], "conf": None, "primary": "config"}
    create_sweep(store.sweep(name), members, line, 2)
    sweep = read_sweep(store.sweep(name))
    assert sweep is not None
    return sweep


def looked(sweep: Sweep) -> list[tuple[str, str]]:
    again = read_sweep(sweep.folder)
    assert again is not None
    return [(member.run.id, state_of(member)) for member in again.members]


def test_a_sweep_is_read_as_it_was_recorded(store: StoreFolder) -> None:
    sweep = made(store, *(recorded(store, number, records.owner()) for number in (1, 2)))
    assert [(member.place, member.run.id, member.overrides) for member in sweep.members] == [
        (0, "mnist/1", ("x=0",)),
        (1, "mnist/2", ("x=1",)),
    ]
    assert (sweep.names, sweep.overrides, sweep.resumptions) == (["mnist"], ["x=0,1"], 0)
    assert sweep.folder.root.stat().st_mode & 0o777 == 0o700
    assert looked(sweep) == [("mnist/1", "NotStarted"), ("mnist/2", "NotStarted")]


def test_what_never_started_is_lost_until_somebody_ends_it(
    store: StoreFolder, nobody: dict[str, Any]
) -> None:
    lost, canceled, begun, handed = (recorded(store, number, nobody) for number in (1, 2, 3, 4))
    request_cancel(canceled)
    begun.attempt(0).mkdir(parents=True)
    records.write(handed.submit, {**(records.read(handed.submit) or {}), "job": {"folder": "f"}})
    sweep = made(store, lost, canceled, begun, handed)
    assert [state for _, state in looked(sweep)] == ["Lost", "Canceled", "Failed", "NotStarted"]
    assert not lost.end.exists()
    assert read_run(lost).state is State.FAILED  # as `runs list` does
    assert looked(sweep)[0] == ("mnist/1", "Failed")


def test_a_member_is_the_newest_of_its_runs_that_was_recorded(
    store: StoreFolder, nobody: dict[str, Any]
) -> None:
    failed, lost = recorded(store, 1, nobody), recorded(store, 2, nobody)
    finish(failed, State.FAILED)
    sweep = made(store, failed, lost)
    claim(sweep, {0: store.run("mnist", 3), 1: lost})
    # Somebody alive is about to run both.
    assert looked(sweep) == [("mnist/3", "NotStarted"), ("mnist/2", "NotStarted")]
    resumption = sweep.folder.resumption(1)
    entries = (records.read(resumption) or {})["members"]
    assert entries == [
        {"index": 0, "run": "mnist/3", "resumes": "mnist/1"},
        {"index": 1, "run": "mnist/2", "resumes": None},
    ]
    # It was killed before it recorded anything.
    records.write(resumption, {**(records.read(resumption) or {}), "owner": nobody})
    assert looked(sweep) == [("mnist/1", "Failed"), ("mnist/2", "Lost")]
    # Or after.
    new = recorded(store, 3, records.owner())
    finish(new, State.COMPLETED)
    assert looked(sweep) == [("mnist/3", "Completed"), ("mnist/2", "Lost")]
    again = read_sweep(sweep.folder)
    assert again is not None
    assert [member.replaced for member in again.members] == [("mnist/1",), ()]
    assert again.resumptions == 1
    assert [run.id for run in find_runs(store, "5eed")] == ["mnist/3", "mnist/2"]
    everything = find_runs(store, "5eed", replaced=True)
    assert [run.id for run in everything] == ["mnist/1", "mnist/2", "mnist/3"]


def test_of_two_resumptions_at_once_one_gets_the_members(store: StoreFolder, nobody: dict[str, Any]) -> None:
    sweep = made(store, recorded(store, 1, nobody))
    claim(sweep, {0: store.run("mnist", 2)})
    with pytest.raises(StoreError, match="somebody else resumes it"):
        claim(sweep, {0: store.run("mnist", 3)})


def test_deleted_runs_are_told(store: StoreFolder) -> None:
    run = recorded(store, 1, records.owner())
    finish(run, State.COMPLETED)
    sweep = made(store, run)
    delete(run)
    assert looked(sweep) == [("mnist/1", "Deleted")]


def test_sweeps_are_found_by_id_by_its_beginning_and_as_latest(store: StoreFolder) -> None:
    with pytest.raises(NotFoundError, match="no record"):
        find_sweep(store, "latest")
    assert list_sweeps(store, None) == []
    for number, name in enumerate(("ab12", "ab34", "cd56")):
        sweep = made(store, recorded(store, number + 1, records.owner()), name=name)
        record = dict(sweep.record, created=float(-number))
        records.write(sweep.folder.record, record)
    (store.sweeps / "ff00").mkdir()  # its launcher was killed before it was recorded
    assert [sweep.folder.id for sweep in list_sweeps(store, None)] == ["ab12", "ab34", "cd56"]
    assert [sweep.folder.id for sweep in list_sweeps(store, 1)] == ["ab12"]
    assert find_sweep(store, "latest").folder.id == "ab12"
    assert find_sweep(store, "cd").folder.id == "cd56"
    with pytest.raises(NotFoundError, match="2 sweeps begin so"):
        find_sweep(store, "ab")
    for text in ("", "nothing", "ff00", "..", "ab12/"):
        with pytest.raises(NotFoundError, match="no record"):
            find_sweep(store, text)


def test_a_store_can_be_copied(store: StoreFolder, tmp_path: Path) -> None:
    run = recorded(store, 1, records.owner())
    finish(run, State.COMPLETED)
    made(store, run)
    shutil.copytree(store.root, tmp_path / "copy")
    copy = find_sweep(StoreFolder(tmp_path / "copy"), "latest")
    assert copy.members[0].run.root == tmp_path / "copy/runs/mnist/1"
    assert state_of(copy.members[0]) == "Completed"


def test_a_store_that_cannot_be_written_is_told(store: StoreFolder) -> None:
    run = recorded(store, 1, records.owner())
    store.sweeps.write_text("in the way")
    with pytest.raises(StoreError, match="cannot be recorded"):
        made(store, run)
    store.sweeps.unlink()
    sweep = made(store, run)
    shutil.rmtree(sweep.folder.root)
    with pytest.raises(StoreError, match="cannot be recorded"):
        claim(sweep, {0: run})


def test_what_is_about_the_launch_makes_no_other_configuration() -> None:
    config = "# compute=local\nname: a\nwait: true\ndry_run: false\nstore: /a b\n  c d\nobjective: null\n"
    assert frozen_text(config) == "# compute=local\nname: a\nobjective: null"
    assert config_digest(config) == config_digest(config.replace("wait: true", "wait: false"))
    assert config_digest(config) != config_digest(config.replace("name: a", "name: b"))
    assert config_digest(config) != config_digest(config.replace("compute=local", "compute=slurm"))
