"""What the examples here tell about themselves: metrics, and one small file for each process.

Copy this file beside your own script, or write the one line of JSON yourself: no more is asked of a script.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
from pathlib import Path
from typing import Any, Iterable  # noqa: UP035  # collections.abc cannot be subscripted in Python 3.7


def log_metric(name: str, value: float, step: int | None = None) -> None:
    """Print a metric, and append it as a line of JSON to the file that LAUNCHER_METRICS names, if any."""
    at = "" if step is None else f" (step {step})"
    print(f"{name}: {float(value):.4f}{at}", flush=True)
    target = os.environ.get("LAUNCHER_METRICS")
    if target:
        line = json.dumps({"name": name, "value": float(value), "step": None if step is None else int(step)})
        with Path(target).open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def describe_process(
    role: str, rank: int, size: int, local_rank: int = 0, weights: Iterable[Any] | None = None
) -> None:
    """Write `outputs/<role>-<rank>.json`: which of how many this process is, where, and its weights' hash.

    The hash is equal on all processes that hold the same model, to the last bit; `weights` are numpy arrays.
    """
    known = {
        "rank": rank,
        "size": size,
        "local_rank": local_rank,
        "host": socket.gethostname(),
        "weights_sha256": None if weights is None else hash_weights(weights),
    }
    Path("outputs").mkdir(exist_ok=True)
    Path("outputs", f"{role}-{rank}.json").write_text(json.dumps(known) + "\n", encoding="utf-8")


def hash_weights(weights: Iterable[Any]) -> str:
    """Return one sha256 over the bytes of all arrays, in their order."""
    digest = hashlib.sha256()
    for array in weights:
        digest.update(array.tobytes())
    return digest.hexdigest()
