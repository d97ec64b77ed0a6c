"""The newest 50 of 10,000 runs with a warm index, beside the start of the same Python."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from benchmarks.launches import TRIVIAL, project
from benchmarks.paired import Bound, By, Comparison, in_turn, main

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.launches import Project

RUNS, EXPERIMENTS, SHOWN = 10_000, 10, 50


def measure(pairs: int | None) -> list[Comparison]:
    """Time the whole command."""
    with project() as here:
        here.output(here.argv(*TRIVIAL))
        _multiply(here)
        listing = [sys.executable, "-m", "launcher", "runs", "list", "-n", str(SHOWN)]
        assert here.output(listing).count("Completed") == SHOWN
        start = [sys.executable, "-c", "pass"]
        series = in_turn(
            lambda: 1000 * here.seconds(listing), lambda: 1000 * here.seconds(start), pairs or 30
        )
    return [
        Comparison(
            what=f"newest {SHOWN} of {RUNS} runs",
            peer="python -c pass",
            unit="ms",
            ours=series[0],
            theirs=series[1],
            by=By.DIFFERENCE,
            bound=Bound(sign="<=", value=50.0),
        )
    ]


def _multiply(here: Project) -> None:
    """Make more runs of the one there is: its records, with other numbers and times."""
    (run,) = here.store.glob("runs/*/1")
    records = {
        path.relative_to(run): json.loads(path.read_bytes())
        for path in run.rglob("*.json")
        if path.name != "manifest.json"
    }
    config = (run / "config.yaml").read_bytes()
    for number in range(RUNS - 1):
        name, index = f"experiment-{number % EXPERIMENTS}", number // EXPERIMENTS + 1
        folder = here.store / "runs" / name / str(index)
        for path, record in records.items():
            _write(folder / path, _changed(record, f"{name}/{index}", number))
        (folder / "config.yaml").write_bytes(config)
        _write(folder / "metrics" / "worker-0.jsonl", {"name": "loss", "value": number / RUNS, "step": 1})


def _changed(record: dict[str, Any], run: str, number: int) -> dict[str, Any]:
    changed = {key: value for key, value in record.items() if key != "crc32"}
    if "id" in record:
        changed["id"] = run
    if "created" in record:
        changed["created"] = record["created"] - number
    return changed


def _write(path: Path, record: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(measure, __doc__)
