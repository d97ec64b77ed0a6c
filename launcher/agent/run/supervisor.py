"""Runs the runs of one launch on this machine, detached from the shell that asked for it."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections import deque
from typing import TYPE_CHECKING, cast

from ..base import atomic_json, disk_reserve, memory
from ..base.failure_kinds import FailureKind
from ..base.guard import unguarded
from ..base.loop import Loop
from ..targets.decision import Action
from . import manifest
from .attempt import Attempt
from .run_end import cause_in_queue, finish, is_canceled, is_gone, is_unwanted

if TYPE_CHECKING:
    from ..base.record_types import Cause, Spec, Submit, SupervisorConfig
    from ..targets.local import LocalTarget

HASH_FOR_S = 0.2
"""Time for hashes at the end of a run, while others may wait for this loop."""


class _Run:
    """A run that is under way."""

    def __init__(self, folder: str, gpus: list[list[str]], number: int) -> None:
        self.folder = folder
        self.gpus = gpus
        self.spec = cast("Spec", atomic_json.read(os.path.join(folder, "spec.json")) or {})
        self.submit = cast("Submit", atomic_json.read(os.path.join(folder, "submit.json")) or {})
        self.spec["id"] = self.submit.get("id", "")
        self.number = number
        self.attempt: Attempt | None = None
        self.next_look = 0.0
        self.warnings = 0  # that its attempt has had
        self.decide_at: float | None = None  # when to decide what follows its attempt


class Supervisor:
    """Keeps up to `max_parallel` runs going until none is left."""

    def __init__(self, config: SupervisorConfig, target: LocalTarget) -> None:
        self._target = target
        self._waiting: deque[str] = deque(config["runs"])
        self._parallel: int = config["max_parallel"]
        self._free: list[str] | None = config["gpus"]
        self._log: str = config["log"]
        self._running: list[_Run] = []
        self._failed = 0
        self._next_look = 0.0
        self._oom_kills = memory.oom_kills()  # of others before this one
        self._loop = Loop()
        target.open(self._loop.selector)

    def work(self) -> int:
        """Run everything; return the exit code, which only a scheduler looks at."""
        while self._waiting or self._running:
            if self._loop.asked_to_end:
                self._cancel_all()
            self._drop_canceled()
            self._fill()
            until = time.monotonic() + 0.5
            for run in list(self._running):
                until = min(until, self._look_after(run))
            if self._running:
                self._loop.wait(until)
                self._loop.reap(self._reaped)
        self._target.close()
        with contextlib.suppress(OSError):  # deleted with its run
            if self._log and os.path.getsize(self._log) == 0:
                atomic_json.remove(self._log)
        self._loop.close()
        return self._target.exit_code(self._failed)

    def _drop_canceled(self) -> None:
        """End the waiting runs that were canceled, twice a second, wherever in the queue they are."""
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + 0.5
        for folder in [run for run in self._waiting if os.path.exists(os.path.join(run, "cancel.json"))]:
            finish(folder, "Canceled", cause_in_queue(FailureKind.CANCEL, "canceled while queued"), None)
            self._waiting.remove(folder)

    def _fill(self) -> None:
        """Start what there is room for, in order."""
        while self._waiting and len(self._running) < self._parallel:
            folder = self._waiting[0]
            spec = cast("Spec | None", atomic_json.read(os.path.join(folder, "spec.json")))
            if spec is None or os.path.exists(os.path.join(folder, "end.json")):  # deleted or ended meanwhile
                self._waiting.popleft()
                continue
            gpus = self._take_gpus(spec)
            if gpus is None and self._running:
                return
            if gpus is None:
                message = "this machine has fewer GPUs than it asks for"
                finish(folder, "Failed", cause_in_queue(FailureKind.START, message), None)
                self._waiting.popleft()
                continue
            self._waiting.popleft()
            run = _Run(folder, gpus, self._target.claim_attempt(folder))
            self._running.append(run)
            self._begin(run)

    def _take_gpus(self, spec: Spec) -> list[list[str]] | None:
        """Return the GPUs of each node, or None while too few are free."""
        nodes, each = spec["plan"]["nodes"], spec["resources"]["gpus_per_node"]
        if self._free is None:  # not ours to share out
            return [[] for _ in range(nodes)]
        if nodes * each > len(self._free):
            return None
        taken, self._free = self._free[: nodes * each], self._free[nodes * each :]
        return [taken[node * each : (node + 1) * each] for node in range(nodes)]

    def _begin(self, run: _Run) -> None:
        spent, run.warnings, run.decide_at = run.number - run.spec["retries"], 0, None
        run.attempt = Attempt(
            run.folder, run.number, run.spec, run.submit, run.gpus, self._loop.selector, self._target
        )
        run.attempt.start()
        if spent > 0:
            run.attempt.give_up(
                FailureKind.RETRIES, "it was started again after retries=%d" % run.spec["retries"]
            )

    def _look_after(self, run: _Run) -> float:
        """Move a run on; return when to look again at the latest."""
        assert run.attempt is not None  # noqa: S101
        now = time.monotonic()
        if now >= run.next_look:
            run.next_look = now + 0.5
            if is_unwanted(run.folder):
                run.attempt.cancel()
        if self._loop.warnings > run.warnings:
            run.warnings = self._loop.warnings
            run.attempt.warn(*self._target.warning())
        until = run.attempt.tick()
        if run.attempt.outcome is None:
            return min(until, run.next_look)
        if run.decide_at is None:
            run.decide_at = now + self._target.patience_s(run.attempt.cause)
        if now < run.decide_at and not self._loop.asked_to_end:
            return run.decide_at
        self._follow(run, run.attempt, run.attempt.outcome)
        return now

    def _follow(self, run: _Run, attempt: Attempt, outcome: str) -> None:
        """Do what follows an attempt that is over."""
        left, asked = run.spec["retries"] - run.number, self._loop.asked_to_end
        decision = self._target.next_action(outcome, attempt.cause, left, asked)
        action = decision.action
        if decision.cause is not None:
            attempt.restate(decision.outcome, *decision.cause)
        if action in {Action.REQUEUE, Action.AWAIT}:
            attempt.queue()
        if action is Action.REQUEUE and not self._target.requeue(run.number, lambda: self._loop.asked_to_end):
            action = Action.CONCLUDE
        if action is not Action.CONCLUDE:
            disk_reserve.release(os.path.join(run.folder, "attempts", str(run.number)))
        if action is Action.RETRY and self._target.try_claim_attempt(run.folder, run.number + 1):
            run.number += 1
            self._begin(run)
        elif action is Action.CONCLUDE:
            self._conclude(run, attempt.outcome or outcome, attempt.cause)
        else:  # also where Slurm has started it on other nodes
            self._running.remove(run)

    def _conclude(self, run: _Run, state: str, cause: Cause | None) -> None:
        try:
            if not is_gone(run.folder, "submit.json"):
                manifest.write_manifest(run.folder, HASH_FOR_S)
        except OSError as error:
            atomic_json.complain("manifest of %s: %s" % (run.folder, error))
        finish(run.folder, state, cause, run.number)
        self._failed += state != "Completed"
        if self._free is not None:
            self._free = [gpu for node in run.gpus for gpu in node] + self._free
        self._running.remove(run)

    def _reaped(self, pid: int, status: int) -> None:
        for run in self._running:
            if run.attempt is not None and run.attempt.reaped(pid, status):
                return

    def _cancel_all(self) -> None:
        """End everything because this process is asked to end."""
        kind, message = FailureKind.SUPERVISOR_LOST, "the supervisor was asked to end"
        if unguarded():
            message = "the process that guards the supervisor was killed"
            if memory.oom_kills() > self._oom_kills:
                kind, message = FailureKind.OUT_OF_MEMORY, "the job used more memory than it was given"
        for folder in self._waiting:
            finish(folder, "Failed", cause_in_queue(kind, message), None)
        self._waiting.clear()
        for run in self._running:
            if run.attempt is None or run.attempt.ending:
                continue
            if is_canceled(run.folder):  # Slurm asks all processes of a canceled job to end
                run.attempt.cancel()
            else:
                run.attempt.give_up(kind, message)


def read_config() -> SupervisorConfig | None:
    """Return the configuration from standard input; None where the launcher died before it gave it."""
    try:
        config = json.loads(sys.stdin.read())
    except ValueError:
        return None
    return cast("SupervisorConfig", config) if isinstance(config, dict) else None
