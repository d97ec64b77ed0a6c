import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from launcher.errors import LauncherError, NotFoundError, StoreError
from launcher.paths import RunFolder, StoreFolder
from launcher.plan import Plan
from launcher.spec import RunSpec, State
from launcher.store import records
from launcher.store.runs import (
    create_run,
    delete,
    enter,
    finish,
    read_run,
    request_cancel,
    reserve,
    update_submit,
    user,
)
from launcher.store.snapshots import Snapshot

# The ports are only written down here, so plain values serve as options.
NOTHING: Any = None

WORKER = [{"role": "worker", "index": 0, "rank": 0}]


def spec(source: Path, **changes: Any) -> RunSpec:
    given: dict[str, Any] = {
        "name": "mnist",
        "source": source,
        "script": "train.py",
        "distribution": NOTHING,
        "environment": NOTHING,
        "data": NOTHING,
        "compute": NOTHING,
    }
    return RunSpec(**{**given, **changes})


@pytest.fixture
def store(tmp_path: Path) -> StoreFolder:
    return StoreFolder(tmp_path / "store")


def make(store: StoreFolder, overrides: Sequence[str] = (), **changes: Any) -> RunFolder:
    snapshot = Snapshot(digest="d", files=1, bytes=2, path=store.snapshots / "d")
    plan = Plan(nodes=1, processes_per_node=1)
    return create_run(
        store, spec(store.root, **changes), plan, config="a: 1\n", snapshot=snapshot, overrides=overrides
    )


def gone() -> dict[str, Any]:
    """Return the owner record of a process that is no more."""
    script = "import json; from launcher.agent.base import process_identity"
    script += "; print(json.dumps(process_identity.identity()))"
    return json.loads(subprocess.check_output([sys.executable, "-c", script]))


def attempt(folder: RunFolder, number: int, **state: Any) -> None:
    path = folder.attempt_state(number)
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"schema": 1, "attempt": number, **state}))


def test_a_run_is_recorded_in_private_numbered_folders(store: StoreFolder) -> None:
    first, second = make(store), make(store)
    assert (first.id, second.id) == ("mnist/1", "mnist/2")
    for folder in (store.root, store.runs, store.experiment("mnist"), first.root):
        assert folder.stat().st_mode & 0o777 == 0o700
    assert (first.root / "source").readlink() == Path("../../../snapshots/d")
    run = read_run(first)
    assert (run.state, run.name, run.number) == (State.NOT_STARTED, "mnist", 1)
    assert run.submit["snapshot"] == {"digest": "d", "files": 1, "bytes": 2}
    assert len(list(first.root.iterdir())) == 4


def test_text_that_is_not_utf8_survives(store: StoreFolder) -> None:
    raw = b"caf\xe9\n".decode("utf-8", "surrogateescape")
    folder = make(store, [raw], args=(raw,), env={"A": raw})
    run = read_run(folder)
    assert run.submit["overrides"] == [raw]
    assert (run.spec["args"], run.spec["env"]) == ([raw], {"A": raw})
    assert run.spec["args"][0].encode("utf-8", "surrogateescape") == b"caf\xe9\n"


def test_simultaneous_launches_get_different_numbers(store: StoreFolder) -> None:
    with ThreadPoolExecutor(8) as pool:
        ids = [future.result().id for future in [pool.submit(make, store) for _ in range(40)]]
    assert sorted(ids) == sorted(f"mnist/{number}" for number in range(1, 41))


def test_a_batch_is_reserved_at_once_and_unused_numbers_are_no_runs(store: StoreFolder) -> None:
    folders = reserve(store, "mnist", 3)
    assert [folder.id for folder in folders] == ["mnist/1", "mnist/2", "mnist/3"]
    assert make(store).id == "mnist/4"
    with pytest.raises(NotFoundError, match="mnist/2"):
        read_run(folders[1])


@pytest.mark.parametrize("name", ["", "..", ".hidden", "a/b", "a\0b"])
def test_a_name_stays_in_the_store(store: StoreFolder, name: str) -> None:
    with pytest.raises(StoreError, match="name"):
        reserve(store, name)
    assert not store.root.exists()


def test_a_store_that_cannot_be_made_is_told_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"file/store cannot be written .*LAUNCHER_STORE"):
        make(StoreFolder(tmp_path / "file" / "store"))


def test_phases_and_changes_are_added(store: StoreFolder) -> None:
    folder = make(store)
    enter(folder, State.PREPARING)
    update_submit(folder, environment={"key": "k"}, data={"images": Path("/d")})
    enter(folder, State.QUEUED, job={"kind": "slurm", "folder": "f", "index": 7})
    run = read_run(folder)
    assert [phase.state for phase in run.phases] == [State.PREPARING, State.QUEUED]
    assert (run.state, run.submit["environment"]) == (State.QUEUED, {"key": "k"})
    assert run.submit["job"]["index"] == 7
    assert run.submit["data"] == {"images": "/d"}
    assert (run.started, run.ended, run.seconds(0)) == (None, None, None)


def test_the_newest_attempt_tells_the_state(store: StoreFolder) -> None:
    folder = make(store)
    enter(folder, State.QUEUED)
    attempt(folder, 0, phases=[["Running", 1.0]], outcome="Failed")
    attempt(
        folder,
        10,
        phases=[["Starting", 5.0], ["Running", 6.5]],
        processes=[{"role": "worker", "index": 0, "rank": 0}],
    )
    attempt(folder, 9, phases=[["Finalizing", 4.0]], outcome="Failed")
    run = read_run(folder)
    assert (run.state, run.attempts, run.started) == (State.RUNNING, (0, 9, 10), 6.5)
    assert run.processes == tuple(WORKER)
    assert run.seconds(8.0) == 1.5


def test_cancel_is_requested_once_and_end_is_the_last_word(store: StoreFolder) -> None:
    folder = make(store)
    assert request_cancel(folder)
    time.sleep(0.002)  # a request with the same time would count as a repetition of the first
    assert not request_cancel(folder)
    assert read_run(folder).state is State.CANCEL_REQUESTED
    assert finish(folder, State.CANCELED)
    assert not finish(folder, State.FAILED, {"message": "late"})
    run = read_run(folder)
    assert (run.state, run.cause) == (State.CANCELED, None)
    assert run.ended is not None


def test_a_cause_keeps_what_is_known_and_drops_what_is_not(store: StoreFolder) -> None:
    folder = make(store)
    finish(folder, State.FAILED, {"message": "m", "exit_code": 7, "last_lines": ["a"], "newer": 1})
    cause = read_run(folder).cause
    assert cause is not None
    assert (cause.message, cause.exit_code, cause.last_lines) == ("m", 7, ("a",))


@pytest.mark.parametrize(
    ("phase", "kind"), [(State.PREPARING, "launcher_lost"), (State.QUEUED, "supervisor_lost")]
)
def test_a_run_that_nobody_ends_is_ended_by_its_reader(store: StoreFolder, phase: State, kind: str) -> None:
    folder = make(store)
    enter(folder, phase, owner=gone())
    run = read_run(folder)
    assert run.state is State.FAILED
    assert run.cause is not None
    assert (run.cause.kind, run.cause.phase) == (kind, str(phase))
    assert json.loads(folder.end.read_text())["state"] == "Failed"
    assert read_run(folder) == run


def test_an_attempt_that_found_no_room_for_its_record_does_not_damage_the_run(store: StoreFolder) -> None:
    folder = make(store)
    enter(folder, State.QUEUED, owner=gone())
    folder.attempt(0).mkdir(parents=True)
    run = read_run(folder)
    assert (run.state, run.cause and run.cause.kind, run.damage) == (State.FAILED, "supervisor_lost", ())
    assert json.loads(folder.end.read_text())["attempt"] is None
    assert read_run(folder) == run


def test_a_living_agent_or_supervisor_keeps_the_run(store: StoreFolder) -> None:
    folder = make(store)
    living = read_run(folder).submit["owner"]
    attempt(folder, 0, owner=gone(), phases=[["Running", 1.0]], outcome=None)
    assert read_run(folder).state is State.RUNNING
    update_submit(folder, owner=gone())
    folder.attempt_state(0).write_text(json.dumps({"owner": living, "phases": [["Running", 1.0]]}))
    assert read_run(folder).state is State.RUNNING
    folder.attempt_state(0).write_text(json.dumps({"owner": gone(), "phases": [["Running", 1.0]]}))
    assert read_run(folder).state is State.FAILED


def test_owners_on_other_hosts_are_left_alone(store: StoreFolder) -> None:
    folder = make(store)
    update_submit(folder, owner={**gone(), "boot": "other", "host": "elsewhere"})
    assert read_run(folder).state is State.NOT_STARTED
    assert not folder.end.exists()


def test_a_canceled_run_without_processes_is_canceled(store: StoreFolder) -> None:
    folder = make(store)
    request_cancel(folder)
    update_submit(folder, owner=gone())
    assert read_run(folder).state is State.CANCELED


def test_the_outcome_of_an_attempt_outlives_its_supervisor(store: StoreFolder) -> None:
    folder = make(store)
    attempt(folder, 0, owner=gone(), phases=[["Finalizing", 1.0]], outcome="Completed", cause=None)
    update_submit(folder, owner=gone())
    run = read_run(folder)
    assert (run.state, run.cause) == (State.COMPLETED, None)


def test_deleting_keeps_the_number_taken(store: StoreFolder) -> None:
    folder = make(store)
    with pytest.raises(StoreError, match="cancel it first"):
        delete(folder)
    finish(folder, State.COMPLETED)
    locked = folder.outputs / "locked"
    locked.mkdir(parents=True)
    (locked / "file").write_text("x")
    (folder.outputs / "link").symlink_to("/")
    locked.chmod(0o500)
    delete(folder)
    assert list(folder.root.iterdir()) == []
    with pytest.raises(NotFoundError):
        read_run(folder)
    assert make(store).id == "mnist/2"
    delete(RunFolder(store.run("mnist", 2).root), force=True)
    assert make(store).id == "mnist/3"


def test_a_run_that_is_deleted_meanwhile_is_told(store: StoreFolder) -> None:
    folder = make(store)
    delete(folder, force=True)
    with pytest.raises(NotFoundError, match="deleted while it was being launched"):
        enter(folder, State.QUEUED)


def test_a_store_that_fills_up_is_told(store: StoreFolder) -> None:
    (folder,) = reserve(store, "mnist")
    folder.spec.mkdir()
    plan = Plan(nodes=1, processes_per_node=1)
    snapshot = Snapshot(digest="d", files=1, bytes=2, path=store.snapshots / "d")
    with pytest.raises(StoreError, match="cannot be written"):
        create_run(store, spec(store.root), plan, config="", snapshot=snapshot, folder=folder)
    folder.cancel.mkdir()
    with pytest.raises(LauncherError, match="the request cannot be written"):
        request_cancel(RunFolder(folder.root / "gone"))


def test_readers_without_the_right_to_write_still_see_the_end(
    store: StoreFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make(store)
    update_submit(folder, owner=gone())

    def refuse(*_: object) -> bool:
        raise PermissionError

    monkeypatch.setattr(records, "create", refuse)
    assert read_run(folder).state is State.FAILED
    assert not folder.end.exists()


def test_a_run_that_ends_while_it_is_judged_keeps_its_own_end(
    store: StoreFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make(store)
    update_submit(folder, owner=gone())
    real = records.alive

    def late(who: records.Record) -> bool | None:
        finish(folder, State.COMPLETED)
        return real(who)

    monkeypatch.setattr(records, "alive", late)
    assert read_run(folder).state is State.COMPLETED


def test_a_state_that_no_version_up_to_this_has_is_damage(store: StoreFolder) -> None:
    folder = make(store)
    update_submit(folder, phases=[["Hibernating", 1.0]])
    run = read_run(folder)
    assert run.state is State.DAMAGED
    assert run.cause is not None
    assert f"{folder.submit}: phases[0]: got 'Hibernating'; expected one of NotStarted," in run.cause.message


def test_a_user_without_a_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_: int) -> None:
        raise KeyError

    monkeypatch.setattr("pwd.getpwuid", unknown)
    assert user() == str(os.getuid())
