"""Declarative experiment launcher.

In a training script, `launcher.log_metric("loss", 0.12, step=3)` records a metric of the run; a script
that does not import launcher appends the same line of JSON to the file named by LAUNCHER_METRICS.
"""

from __future__ import annotations

import json
import os
import sys
import time

__all__ = ["log_metric"]

_told = False


def log_metric(name: str, value: float, step: int | None = None) -> None:
    """Record a number of this run, once or step by step.

    Outside a run nothing is recorded, which is said once on standard error, so that a script also
    works by hand.

    Args:
        name: such as `test_accuracy`; the `objective` of a sweep is one of these names.
        value: a number, or what `float()` takes (NumPy and tensor scalars).
        step: epoch, iteration, …

    Raises:
        TypeError: the value is no number.
    """
    global _told  # noqa: PLW0603  # once a process
    line = {"name": name, "value": float(value), "time": round(time.time(), 3)}
    if step is not None:
        line["step"] = int(step)
    path = os.environ.get("LAUNCHER_METRICS")
    if path:
        with open(path, "a", encoding="utf-8") as file:  # noqa: PTH123
            file.write(json.dumps(line) + "\n")
    elif not _told:
        _told = True
        print("launcher: not in a run, metrics are not recorded", file=sys.stderr)  # noqa: T201
