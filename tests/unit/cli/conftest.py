import json
import time
from pathlib import Path
from typing import Any

import pytest

import launcher
from launcher.paths import RunFolder, StoreFolder
from launcher.store import records

NOW = time.time()


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StoreFolder:
    monkeypatch.setenv("LAUNCHER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("LAUNCHER_STORE", str(tmp_path / "store"))
    monkeypatch.setenv(
        "PYTHONPATH", str(Path(launcher.__file__).parents[1])
    )  # also where it is not installed
    monkeypatch.chdir(tmp_path)
    return StoreFolder(tmp_path / "store")


@pytest.fixture
def failed(store: StoreFolder) -> RunFolder:
    """A run with two processes whose second failed."""
    folder = make(store, 1, tags={"team": "vision"}, overrides=["nodes=2"], sweep="5eed")
    processes = [process(0, exit_code=0), process(1, exit_code=7)]
    attempt(folder, 0, processes)
    cause = {
        "phase": "Running",
        "kind": "exit",
        "message": "worker-1 on node1 exited with 7",
        "node": "node1",
        "role": "worker",
        "index": 1,
        "rank": 1,
        "exit_code": 7,
        "signal": None,
        "last_lines": ["Traceback", "ValueError: bad"],
    }
    end(folder, "Failed", cause)
    return folder


def make(store: StoreFolder, number: int, tags: dict[str, str] | None = None, **fields: Any) -> RunFolder:
    folder = store.run("mnist", number)
    (folder.outputs / "model").mkdir(parents=True)
    folder.logs.mkdir()
    folder.metrics.mkdir()
    (folder.outputs / "model" / "weights").write_bytes(b"w" * 2048)
    (folder.logs / "worker-0.log").write_text(f"first of {number}\nsecond\n")
    (folder.metrics / "worker-0.jsonl").write_text(
        '{"name": "loss", "value": NaN}\n{"name": "acc", "value": 0.5}\n'
    )
    folder.config.write_text("nodes: 2\n")
    plan = {"mpi": None, "processes": [{"role": "worker", "index": 0, "rank": 0}]}
    folder.spec.write_text(json.dumps({"tags": tags or {}, "plan": plan, "description": "what for"}))
    submit: dict[str, Any] = {
        "created": NOW - 100 + number,
        "user": "ann",
        "host": "box",
        "owner": records.owner(),
        "phases": [["Preparing", NOW - 90], ["Queued", NOW - 80]],
        "snapshot": {"digest": "abc123", "files": 3, "bytes": 2048},
        "git": {"commit": "c0ffee", "branch": "main", "dirty": True},
        "environment": {"key": "current", "python": "/usr/bin/python3"},
        "data": {"images": "/data/images"},
        **fields,
    }
    folder.submit.write_text(json.dumps(submit))
    return folder


def process(rank: int, **ended: Any) -> dict[str, Any]:
    known = {"role": "worker", "index": rank, "rank": rank, "node": f"node{rank}", "started": NOW - 70}
    return {**known, "ended": NOW - 60 if ended else None, "exit_code": None, "signal": None, **ended}


def attempt(
    folder: RunFolder, number: int, processes: list[dict[str, Any]], outcome: str | None = None
) -> None:
    folder.attempt(number).mkdir(parents=True, exist_ok=True)
    state = {
        "owner": records.owner(),
        "phases": [["Starting", NOW - 75], ["Running", NOW - 70]],
        "nodes": [{"name": "node0"}, {"name": "node1"}],
        "processes": processes,
        "outcome": outcome,
    }
    folder.attempt_state(number).write_text(json.dumps(state))


def end(folder: RunFolder, state: str, cause: dict[str, Any] | None = None) -> None:
    folder.end.write_text(json.dumps({"state": state, "time": NOW - 60, "attempt": 0, "cause": cause}))
