"""This machine: plain processes under a detached supervisor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from launcher.compute.local_supervisor import hand_over
from launcher.compute.machine import check_machine
from launcher.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from launcher.spec import Facts, RunSpec


@dataclass(frozen=True, kw_only=True)
class Local:
    """Processes of this machine; `nodes` greater than 1 acts that many nodes truthfully."""

    kind: ClassVar[str] = "local"
    one_queue: ClassVar[bool] = True

    max_parallel: int | None = None
    """Members of a sweep that run side by side; null: one for each CPU."""

    def check(self, spec: RunSpec, facts: Facts) -> Iterable[Problem]:
        """See `Compute.check`."""
        yield from check_machine(spec, facts)
        wanted = spec.resources.nodes * spec.resources.gpus_per_node
        if wanted > len(facts.gpus):
            there = f"at most {len(facts.gpus)} in all: this machine has that many GPUs"
            yield Problem("gpus_per_node", spec.resources.gpus_per_node, there, "Try gpus_per_node=0")

    def submit(self, folders: Sequence[Path], store: Path, facts: Facts) -> None:
        """See `Compute.submit`. One supervisor serves all of them."""
        hand_over(folders, store, max_parallel=self.max_parallel or facts.cpus, gpus=list(facts.gpus))
