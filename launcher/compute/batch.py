"""What all targets with a scheduler share: runs become jobs, and runs with the same resources an array."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import uuid4

from launcher.agent.base.failure_kinds import FailureKind
from launcher.compute.agent_code import install
from launcher.compute.scheduler import JobRequest
from launcher.compute.secret_variables import secret_variables
from launcher.errors import SubmitError
from launcher.paths import RunFolder, StoreFolder
from launcher.spec import State
from launcher.store import records
from launcher.store.runs import enter, finish

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from launcher.compute.lanes import Lanes
    from launcher.compute.scheduler import Scheduler
    from launcher.facts import Facts
    from launcher.session import Session


class BatchTarget(ABC):
    """A compute target whose runs are jobs of a scheduler."""

    kind: ClassVar[str]
    max_parallel: int | None

    @abstractmethod
    def scheduler(self) -> Scheduler:
        """Return the scheduler with these options."""

    def submit(self, folders: Sequence[Path], store: Path, facts: Facts, session: Session) -> None:
        """See `Compute.submit`. Runs with the same resources share an array.

        Raises:
            SubmitError: the scheduler refused, in its words; the runs have ended as Failed.
        """
        del session
        agent = install(StoreFolder(store))
        groups: dict[str, list[RunFolder]] = {}
        for folder in map(RunFolder, folders):
            groups.setdefault(array_key(records.read(folder.spec) or {}), []).append(folder)
        limit = facts.cluster.max_array if facts.cluster else len(folders)
        parts = [
            group[first : first + limit] for group in groups.values() for first in range(0, len(group), limit)
        ]
        lanes = self._lanes(parts, StoreFolder(store))
        refusals: list[str] = []
        for part in parts:
            try:
                self._submit(part, StoreFolder(store), agent, lanes)
            except SubmitError as error:
                refusals.append(str(error))
        if refusals:
            raise SubmitError("; ".join(dict.fromkeys(refusals)))

    def _lanes(self, parts: Sequence[Sequence[RunFolder]], store: StoreFolder) -> Lanes | None:
        """Return the order of arrays; None for a run alone."""
        from launcher.compute.job_folders import sweep_job_ids  # noqa: PLC0415  # local runs do without
        from launcher.compute.lanes import Lanes  # noqa: PLC0415

        count = sum(map(len, parts))
        sweep = (records.read(parts[0][0].submit) or {}).get("sweep")
        limited = bool(sweep) and self.max_parallel is not None
        if count == 1 and not limited:
            return None
        before = sweep_job_ids(store, str(sweep)) if limited else ()
        return Lanes(min(self.max_parallel or count, count), before)

    def _submit(self, runs: list[RunFolder], store: StoreFolder, agent: Path, lanes: Lanes | None) -> None:
        from launcher.compute.job_folders import record_job_id, write_script  # noqa: PLC0415  # see `_lanes`

        variables = secret_variables(runs)
        spec, submit = records.read(runs[0].spec) or {}, records.read(runs[0].submit) or {}
        request = JobRequest(spec=spec, folder=runs[0].root / "job", agent=agent, command="job")
        if lanes is not None:
            folder = store.sweeps / str(submit.get("sweep") or "batch") / "jobs" / uuid4().hex[:8]
            parallel, after = lanes.choose(len(runs))
            request = replace(
                request, folder=folder, members=len(runs), parallel=parallel, after=tuple(after)
            )
        folder = request.folder
        folder.mkdir(parents=True, mode=0o700)
        paths = [os.path.relpath(run.root, store.root) for run in runs]
        records.write(folder / "job.json", {"schema": 1, "store": str(store.root), "runs": paths})
        entry = os.path.relpath(folder, store.root)
        for index, run in enumerate(runs):
            job = {"kind": self.kind, "folder": entry, "index": None if lanes is None else index}
            enter(run, State.QUEUED, job=job)
        scheduler = self.scheduler()
        try:
            job_id = scheduler.submit(write_script(folder, scheduler.render(request)), variables)
        except SubmitError as error:
            cause = {"kind": FailureKind.SUBMIT, "phase": str(State.QUEUED), "message": str(error)}
            for run in runs:
                finish(run, State.FAILED, cause)
            raise
        record_job_id(folder, job_id)
        if lanes is not None:
            lanes.take(len(runs), job_id)


def array_key(spec: Mapping[str, Any]) -> str:
    """Return what runs must have in common to share an array."""
    plan: Mapping[str, Any] = spec.get("plan") or {}
    nodes = [process["node"] for process in plan.get("processes") or ()]
    return repr((spec.get("resources"), plan.get("nodes"), sorted(nodes), bool(spec.get("retries"))))
