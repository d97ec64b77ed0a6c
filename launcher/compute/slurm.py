"""`compute=slurm`: a job of a Slurm cluster for each run, an array for the members of a sweep."""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import uuid4

from launcher.capabilities import Capabilities
from launcher.compute.agents import install
from launcher.compute.containers import Container, in_image
from launcher.compute.handover import secrets_of
from launcher.compute.slurm_checks import check_slurm, port_range
from launcher.errors import SubmitError
from launcher.paths import RunFolder, StoreFolder
from launcher.spec import RunSpec, State
from launcher.store import records
from launcher.store.runs import enter, finish

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from launcher.capabilities import Row
    from launcher.compute.slurm_script import Script
    from launcher.compute.slurm_turns import Turns
    from launcher.errors import Problem
    from launcher.facts import Facts
    from launcher.plan import Plan
    from launcher.session import Session
    from launcher.spec import LaunchRequest


class Signal(StrEnum):
    """What processes are told by that they have to end."""

    TERM = "TERM"
    INT = "INT"
    USR1 = "USR1"
    USR2 = "USR2"


@dataclass(frozen=True, kw_only=True)
class Slurm:
    """A Slurm cluster. Options that are null are left to the site's defaults."""

    kind: ClassVar[str] = "slurm"

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    nodelist: str | None = None
    exclude: str | None = None
    exclusive: bool = False
    reservation: str | None = None
    dependency: str | None = None
    comment: str | None = None
    mail_type: str | None = None
    mail_user: str | None = None
    gres: str | None = None
    """In place of what `gpus_per_node` asks for, such as `gpu:a100:2`."""
    gpu_type: str | None = None
    """With `gpus_per_node`: `--gpus-per-node=TYPE:N`."""
    max_parallel: int | None = None
    """Members of a sweep that run side by side, whatever the number of its arrays."""
    setup: list[str] = field(default_factory=list[str])
    """Lines of shell before the run, such as `module load cuda`. They run on the first node."""
    teardown: list[str] = field(default_factory=list[str])
    """Lines of shell after it."""
    login_shell: bool = True
    """So that `module` exists."""
    export: str = "NIL"
    """What of the submitting shell's environment the job gets: `NIL` nothing, `ALL`, or names."""
    python: str | None = None
    """Python 3.8 or newer for the agents; null: the one that submits, else python3."""
    interface: str | None = None
    """Network interface between the nodes; null: the one that works."""
    ports: str = "20000-32000"
    """Ports that nodes may use among themselves, first and last."""
    signal: Signal = Signal.TERM
    """What a script is told by that time is nearly up or that it is preempted, if it handles it."""
    grace_s: int = 60
    """How long before the end it is told."""
    srun_args: list[str] = field(default_factory=list[str])
    """Further options of the srun that starts the other nodes' agents."""
    container: Container = field(default_factory=Container)
    """Into which the processes are started on every node, once it has an image."""
    additional_parameters: dict[str, Any] = field(default_factory=dict[str, Any])
    """Any other option of sbatch."""

    @property
    def features(self) -> Capabilities:
        """See `Compute.features`."""
        return Capabilities(
            containers=bool(self.container.image),
            container_option="compute.container.image",
            remote_start=True,
            srun=True,
            port_range=port_range(self.ports),
        )

    def probe(self, spec: RunSpec, facts: Facts, session: Session | None) -> Facts:
        """See `Compute.probe`."""
        from launcher.compute.slurm_cluster import read_cluster  # noqa: PLC0415  # 5 ms of start-up elsewhere

        del session
        facts = replace(facts, cluster=read_cluster())
        return in_image(self.container, facts, current=spec.environment.traits.own_python)

    def check(self, spec: RunSpec, facts: Facts) -> Iterable[Problem]:
        """See `Compute.check`."""
        return check_slurm(self, spec, facts)

    def describe(self, request: LaunchRequest, plan: Plan, facts: Facts) -> Iterable[str]:
        """See `Compute.describe`. All of it is in the job's lines."""
        del request, plan, facts
        return ()

    def describe_jobs(self, members: Sequence[tuple[LaunchRequest, Plan]]) -> Iterable[str]:
        """See `Compute.describe_jobs`."""
        from launcher.compute.describe_slurm import describe_jobs  # noqa: PLC0415  # no launch needs it

        return describe_jobs(members)

    def check_rows(
        self, request: LaunchRequest, timeout_s: float, say: Callable[[str], None]
    ) -> Iterator[Row]:
        """See `Compute.check_rows`."""
        from launcher.compute.check_slurm import rows  # noqa: PLC0415  # no launch needs it

        return rows(self, request, timeout_s, say)

    def submit(self, folders: Sequence[Path], store: Path, facts: Facts, session: Session) -> None:
        """See `Compute.submit`. Runs with the same resources share an array.

        Raises:
            SubmitError: Slurm refused, in its words; the runs have ended as Failed.
        """
        del session
        agent = install(StoreFolder(store))
        groups: dict[str, list[RunFolder]] = {}
        for folder in map(RunFolder, folders):
            spec = records.read(folder.spec) or {}
            groups.setdefault(kind_of_job(spec), []).append(folder)
        limit = facts.cluster.max_array if facts.cluster else len(folders)
        parts = [
            group[first : first + limit] for group in groups.values() for first in range(0, len(group), limit)
        ]
        turns = self._turns(parts, StoreFolder(store))
        refused: list[str] = []
        for part in parts:
            try:
                self._submit(part, StoreFolder(store), agent, turns)
            except SubmitError as error:
                refused.append(str(error))
        if refused:
            raise SubmitError("; ".join(dict.fromkeys(refused)))

    def script(
        self, spec: Mapping[str, Any], folder: Path, agent: Path, members: int | None
    ) -> tuple[Script, str]:
        """Return the script of a job and its shell lines; nothing is touched.

        Args:
            spec: of the run, or of an array's first, as its record has it.
            folder: where it is submitted from.
            agent: the agent's code.
            members: of an array; None: no array.
        """
        from launcher.compute.slurm_script import Script  # noqa: PLC0415  # other targets have no use for it

        pythons = [self.python] if self.python else [sys.executable, "python3"]
        script = Script(self, spec, folder, members)
        return script, script.command(agent, pythons, f"job {shlex.quote(str(folder))}")

    def _turns(self, parts: Sequence[Sequence[RunFolder]], store: StoreFolder) -> Turns | None:
        """Return the order of arrays; None where there is one run alone."""
        from launcher.compute.slurm_queue import jobs_of_sweep  # noqa: PLC0415  # see `script`
        from launcher.compute.slurm_turns import Turns  # noqa: PLC0415

        count = sum(map(len, parts))
        sweep = (records.read(parts[0][0].submit) or {}).get("sweep")
        limited = bool(sweep) and self.max_parallel is not None
        if count == 1 and not limited:
            return None
        before = jobs_of_sweep(store, str(sweep)) if limited else ()
        return Turns(min(self.max_parallel or count, count), before)

    def _submit(self, runs: list[RunFolder], store: StoreFolder, agent: Path, turns: Turns | None) -> None:
        from launcher.compute.slurm_queue import note_job  # noqa: PLC0415  # see `script`
        from launcher.compute.slurm_script import send  # noqa: PLC0415

        carriers = secrets_of(runs)
        spec, submit = records.read(runs[0].spec) or {}, records.read(runs[0].submit) or {}
        folder = runs[0].root / "job"
        options = self
        if turns is not None:
            folder = store.sweeps / str(submit.get("sweep") or "batch") / "jobs" / uuid4().hex[:8]
            parallel, before = turns.choose(len(runs))
            after = [self.dependency] if self.dependency else []
            after += [f"afterany:{':'.join(before)}"] if before else []
            options = replace(self, max_parallel=parallel, dependency=",".join(after) or None)
        folder.mkdir(parents=True, mode=0o700)
        paths = [os.path.relpath(run.root, store.root) for run in runs]
        records.write(folder / "job.json", {"schema": 1, "store": str(store.root), "runs": paths})
        where = os.path.relpath(folder, store.root)
        for index, run in enumerate(runs):
            job = {"kind": self.kind, "folder": where, "index": None if turns is None else index}
            enter(run, State.QUEUED, job=job)
        script, lines = options.script(spec, folder, agent, None if turns is None else len(runs))
        try:
            job_id = send(script, lines, carriers)
        except SubmitError as error:
            cause = {"kind": "submit", "phase": str(State.QUEUED), "message": str(error)}
            for run in runs:
                finish(run, State.FAILED, cause)
            raise
        note_job(folder, job_id)
        if turns is not None:
            turns.take(len(runs), job_id)


def kind_of_job(spec: Mapping[str, Any]) -> str:
    """Return what runs have to agree in to share an array."""
    plan: Mapping[str, Any] = spec.get("plan") or {}
    places = [process["node"] for process in plan.get("processes") or ()]
    return repr((spec.get("resources"), plan.get("nodes"), sorted(places), bool(spec.get("retries"))))
