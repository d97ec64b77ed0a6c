"""`compute=slurm`: a job of a Slurm cluster for each run, an array for the members of a sweep."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from launcher.capabilities import Capabilities
from launcher.compute.batch import BatchTarget
from launcher.compute.containers import in_image
from launcher.compute.slurm.option_checks import check_slurm, port_range
from launcher.compute.slurm.options import SlurmOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from launcher.capabilities import Row
    from launcher.compute.scheduler import Scheduler
    from launcher.errors import Problem
    from launcher.facts import Facts
    from launcher.plan import Plan
    from launcher.session import Session
    from launcher.spec import LaunchRequest, RunSpec


@dataclass(frozen=True, kw_only=True)
class Slurm(SlurmOptions, BatchTarget):
    """A Slurm cluster."""

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
        from launcher.compute.scheduler_cache import read_limits  # noqa: PLC0415  # 5 ms of start-up elsewhere

        del session
        facts = replace(facts, cluster=read_limits(self.scheduler()))
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

    def scheduler(self) -> Scheduler:
        """See `BatchTarget.scheduler`."""
        from launcher.compute.slurm.slurm_scheduler import (  # noqa: PLC0415  # other targets do without
            SlurmScheduler,
        )

        return SlurmScheduler(self)
