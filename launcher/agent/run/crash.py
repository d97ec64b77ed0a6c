"""The guard's last act, once the supervisor was killed or broke down."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

from ..base import atomic_json, process_logs
from ..base.failure_kinds import FailureKind
from ..base.tmp import attempt_mark
from ..node.node import remove_tmp
from . import workdir
from .run_end import cause_in_queue, finish, is_canceled, is_unwanted

if TYPE_CHECKING:
    from ..targets.local import LocalTarget


def settle_after_crash(runs: list[str], target: LocalTarget) -> None:
    """Remove what the attempts of runs left, and have each started again, or end it."""
    target.lost()
    for folder in runs:
        attempts = _attempts(folder)
        spec = atomic_json.read(os.path.join(folder, "spec.json")) or {}
        plan: dict[str, Any] = spec.get("plan") or {}
        for attempt in attempts:
            for node in range(plan.get("nodes", 1)):
                remove_tmp("%s#%d" % (attempt_mark(folder, attempt), node))
        number = attempts[-1] if attempts else None
        state = atomic_json.read(os.path.join(folder, "attempts", "%s" % number, "state.json")) or {}
        left = spec.get("retries", 0) - (number or 0)
        phase = state["phases"][-1][0] if state.get("phases") else None
        # Else it was over, and only that was left to be told.
        again = not state.get("outcome") or (state["outcome"] == "Failed" and phase == "Queued")
        if again and left > 0 and not is_unwanted(folder) and target.requeue_after_crash(number or 0):
            continue
        _bring_home(folder, attempts, spec.get("cwd") or "")
        if state.get("outcome"):
            finish(folder, state["outcome"], state.get("cause"), number)
            continue
        cause = cause_in_queue(FailureKind.SUPERVISOR_LOST, "the supervisor was killed")
        cause["phase"] = phase or "Queued"
        finish(folder, "Canceled" if is_canceled(folder) else "Failed", cause, number)


def _bring_home(folder: str, attempts: list[int], cwd: str) -> None:
    """Put what attempts wrote in its place, as they would have done at their end."""
    for number in attempts:
        with contextlib.suppress(OSError):
            workdir.tidy(os.path.join(folder, "work", str(number)), cwd)
        process_logs.settle(folder, number)


def _attempts(folder: str) -> list[int]:
    try:
        names = os.listdir(os.path.join(folder, "attempts"))
    except OSError:
        return []
    return sorted(int(name) for name in names if name.isdigit())
