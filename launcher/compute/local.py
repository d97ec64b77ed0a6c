"""This machine: plain processes under a detached supervisor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from launcher.capabilities import Capabilities
from launcher.compute.host import with_gpus
from launcher.compute.local_supervisor import hand_over
from launcher.compute.machine import check_machine
from launcher.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from launcher.capabilities import Row
    from launcher.facts import Facts
    from launcher.plan import Plan
    from launcher.session import Session
    from launcher.spec import LaunchRequest, RunSpec


@dataclass(frozen=True, kw_only=True)
class Local:
    """Processes of this machine; `nodes` greater than 1 acts that many nodes truthfully."""

    kind: ClassVar[str] = "local"

    max_parallel: int | None = None
    """Members of a sweep that run side by side; null: one for each CPU."""

    def probe(self, spec: RunSpec, facts: Facts, session: Session | None) -> Facts:
        """See `Compute.probe`."""
        del session
        return with_gpus(spec, facts)

    @property
    def features(self) -> Capabilities:
        """See `Compute.features`."""
        return Capabilities(one_queue=True, several_hosts=False)

    def check(self, spec: RunSpec, facts: Facts) -> Iterable[Problem]:
        """See `Compute.check`."""
        yield from check_machine(spec, facts)
        wanted = spec.resources.nodes * spec.resources.gpus_per_node
        if wanted > len(facts.gpus):
            there = f"at most {len(facts.gpus)} in all: this machine has that many GPUs"
            yield Problem("gpus_per_node", spec.resources.gpus_per_node, there, "Try gpus_per_node=0")

    def describe(self, request: LaunchRequest, plan: Plan, facts: Facts) -> Iterable[str]:
        """See `Compute.describe`. The plan has it all."""
        del request, plan, facts
        return ()

    def describe_jobs(self, members: Sequence[tuple[LaunchRequest, Plan]]) -> Iterable[str]:
        """See `Compute.describe_jobs`. There is no scheduler."""
        del members
        return ()

    def check_rows(
        self, request: LaunchRequest, timeout_s: float, say: Callable[[str], None]
    ) -> Iterator[Row]:
        """See `Compute.check_rows`."""
        from launcher.compute.check_local import rows  # noqa: PLC0415  # no launch needs it

        del timeout_s, say
        return rows(request)

    def submit(self, folders: Sequence[Path], store: Path, facts: Facts, session: Session) -> None:
        """See `Compute.submit`. One supervisor serves all of them."""
        del session
        hand_over(folders, store, max_parallel=self.max_parallel or facts.cpus, gpus=list(facts.gpus))
