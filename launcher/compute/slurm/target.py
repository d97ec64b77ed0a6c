"""`compute=slurm`: a job of a Slurm cluster for each run, an array for the members of a sweep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.compute.batch import BatchTarget
from launcher.compute.slurm.option_checks import check_slurm
from launcher.compute.slurm.options import SlurmOptions

if TYPE_CHECKING:
    from collections.abc import Iterable

    from launcher.compute.scheduler import Scheduler
    from launcher.errors import Problem
    from launcher.spec import Facts, RunSpec


@dataclass(frozen=True, kw_only=True)
class Slurm(SlurmOptions, BatchTarget):
    """A Slurm cluster."""

    def check(self, spec: RunSpec, facts: Facts) -> Iterable[Problem]:
        """See `Compute.check`."""
        return check_slurm(self, spec, facts)

    def scheduler(self) -> Scheduler:
        """See `BatchTarget.scheduler`."""
        from launcher.compute.slurm.slurm_scheduler import (  # noqa: PLC0415  # other targets do without
            SlurmScheduler,
        )

        return SlurmScheduler(self)
