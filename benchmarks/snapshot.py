"""The second snapshot of an unchanged source of 2,000 files and 50 MB, beside walk and stat of it."""

from __future__ import annotations

import os
import random
import time
from typing import TYPE_CHECKING
from unittest.mock import patch

from benchmarks.launches import project
from benchmarks.paired import Bound, Comparison, in_turn, main
from launcher.paths import StoreFolder
from launcher.store.snapshots import snapshot

if TYPE_CHECKING:
    from pathlib import Path

FILES, FOLDERS, BYTES = 2000, 50, 25_000  # 2,000 * 25 kB = 50 MB


def measure(pairs: int | None) -> list[Comparison]:
    """Time both in this process: what a launch spends between its imports and its submit."""
    with project() as here:
        source = here.root / "source"
        _fill(source)
        store = StoreFolder(here.store)
        time.sleep(2.5)  # a file that changed a moment ago is hashed again, see statcache.py

        def ours() -> float:
            started = time.perf_counter()
            assert snapshot(source, store, 300).files == FILES
            return 1000 * (time.perf_counter() - started)

        def theirs() -> float:
            started = time.perf_counter()
            assert _walk(str(source)) == FILES
            return 1000 * (time.perf_counter() - started)

        with patch.dict(os.environ, LAUNCHER_CACHE=here.environment["LAUNCHER_CACHE"]):
            series = in_turn(ours, theirs, pairs or 50)
    return [
        Comparison(
            what="unchanged snapshot",
            peer="walk + stat",
            unit="ms",
            ours=series[0],
            theirs=series[1],
            bound=Bound(sign="<=", value=3.0),
        )
    ]


def _fill(source: Path) -> None:
    random.seed(1)
    for number in range(FILES):
        folder = source / f"package_{number % FOLDERS}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"module_{number}.py").write_bytes(random.randbytes(BYTES))  # noqa: S311  # bulk


def _walk(source: str) -> int:
    found = 0
    for folder, _, names in os.walk(source):
        for name in names:
            os.lstat(os.path.join(folder, name))  # noqa: PTH118  # as quick as it gets
            found += 1
    return found


if __name__ == "__main__":
    main(measure, __doc__)
