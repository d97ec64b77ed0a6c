"""For tests of compute targets."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from launcher.compute import reconcile, scheduler_cache
from launcher.compute.slurm.target import Slurm
from launcher.paths import RunFolder, StoreFolder
from launcher.store import records
from tests.stand_ins import StandIns


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give answers that are kept a place of their own, and no other scheduler."""
    for name in [name for name in os.environ if name.startswith(("SLURM_", "SBATCH_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LAUNCHER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Scheduled:
    """Runs whose jobs a stand-in for squeue tells about."""

    def __init__(self, folder: Path, stand_ins: StandIns, monkeypatch: pytest.MonkeyPatch) -> None:
        self.store = StoreFolder(folder / "store")
        self.scheduler = Slurm().scheduler()
        self.stand_ins = stand_ins
        self.monkeypatch = monkeypatch
        for name in ("squeue", "sacct", "scontrol", "scancel"):
            stand_ins.make(name)
        monkeypatch.setattr(scheduler_cache, "LIST_EVERY_S", 0.0)
        monkeypatch.setattr(scheduler_cache, "QUERY_EVERY_S", 0.0)
        monkeypatch.setattr(reconcile, "LAST_WORDS_S", 0.0)
        monkeypatch.setattr(reconcile, "SURE_AFTER_S", 0.0)

    def run(self, number: int = 1, index: int | None = None, retries: int = 0, **submit: Any) -> RunFolder:
        """Return a run whose job was recorded."""
        run = self.store.run("mnist", number)
        job = self.folder(number if index is None else 0)
        job.mkdir(parents=True, exist_ok=True)
        run.root.mkdir(parents=True, exist_ok=True)
        where = os.path.relpath(job, self.store.root)
        record: dict[str, Any] = {
            "created": 1.0,
            "owner": {**records.owner(), "started": 1},  # gone
            "phases": [["Preparing", 1.0], ["Queued", 2.0]],
            "job": {"kind": "slurm", "folder": where, "index": index},
        }
        run.submit.write_text(json.dumps({**record, **submit}))
        run.spec.write_text(json.dumps({"retries": retries, "tags": {}}))
        return run

    def folder(self, number: int = 1) -> Path:
        """Return the folder that a run's job was submitted from."""
        return self.store.root / "jobs" / str(number)

    def attempt(self, run: RunFolder, number: int, *phases: str, **fields: Any) -> None:
        """Leave an attempt as its agent does."""
        run.attempt(number).mkdir(parents=True)
        state = {"phases": [[phase, 3.0] for phase in phases], "outcome": None, "cause": None, **fields}
        run.attempt_state(number).write_text(json.dumps(state))

    def line(self, job: str, state: str, **fields: str) -> str:
        """Return what squeue prints of a job."""
        known = {
            "reason": "None", "start": "N/A", "nodes": "n1", "end": "2026-01-02T03:04:05", "status": "0",
            "folder": str(self.folder()), **fields,
        }  # fmt: skip
        order = ("reason", "start", "nodes", "end", "status", "folder")
        return "|".join([job, state, *(known[name] for name in order)]) + "\n"

    def says(self, *lines: str) -> None:
        """Have squeue print lines."""
        self.stand_ins.make("squeue", says="".join(lines))

    def forgotten_since(self, run_number: int = 1) -> None:
        """Make a submission so old that squeue ought to know it."""
        path = self.folder(run_number) / "id.json"
        hour_ago = time.time() - 3600
        os.utime(path, (hour_ago, hour_ago))


@pytest.fixture
def scheduled(tmp_path: Path, stand_ins: StandIns, monkeypatch: pytest.MonkeyPatch) -> Scheduled:
    """Runs whose jobs a stand-in for squeue tells about."""
    return Scheduled(tmp_path, stand_ins, monkeypatch)
