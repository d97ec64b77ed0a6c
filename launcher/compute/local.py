"""This machine: plain processes under a detached supervisor."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from launcher.agent.record import encode, owner
from launcher.compute.agents import install
from launcher.compute.handover import secrets_of
from launcher.errors import NotFoundError, Problem
from launcher.paths import RunFolder, StoreFolder
from launcher.spec import Facts, RunSpec, State
from launcher.store.runs import enter

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Local:
    """Processes of this machine; `nodes` greater than 1 acts that many nodes truthfully."""

    kind: ClassVar[str] = "local"

    max_parallel: int | None = None
    """Members of a sweep that run side by side; null: one for each CPU."""

    def check(self, spec: RunSpec, facts: Facts) -> Iterable[Problem]:
        """See `Compute.check`."""
        if self.max_parallel is not None and self.max_parallel < 1:
            yield Problem("compute.max_parallel", self.max_parallel, "a whole number from 1, or null")
        wanted = spec.resources.nodes * spec.resources.gpus_per_node
        if wanted > len(facts.gpus):
            there = f"at most {len(facts.gpus)} in all: this machine has that many GPUs"
            yield Problem("gpus_per_node", spec.resources.gpus_per_node, there, "Try gpus_per_node=0")

    def submit(self, folders: Sequence[Path], store: Path, facts: Facts) -> None:
        """See `Compute.submit`. One supervisor serves all of them and outlives this process.

        It gets its orders only after every run names it as its owner: a launcher that dies
        in between leaves runs that are seen to have no living owner, and a supervisor that ends.

        Raises:
            SubmitError: a secret has no value any more; the runs have ended as Failed.
        """
        runs = [RunFolder(folder) for folder in folders]
        carriers = secrets_of(runs)
        agent = install(StoreFolder(store))
        log = runs[0].root / "supervisor.log"
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            supervisor = subprocess.Popen(
                [sys.executable, "-I", "-S", str(agent), "supervise"],
                stdin=subprocess.PIPE,
                stdout=descriptor,
                stderr=descriptor,
                start_new_session=True,
                cwd="/",
                env={**os.environ, **carriers},
            )
        finally:
            os.close(descriptor)
        who = owner(supervisor.pid)
        for run in list(runs):
            try:
                enter(run, State.QUEUED, owner=who)
            except NotFoundError:  # deleted meanwhile, which is no matter of the others
                runs.remove(run)
        orders = {
            "runs": [str(run.root) for run in runs],
            "max_parallel": self.max_parallel or facts.cpus,
            "gpus": list(facts.gpus),
            "log": str(log),
        }
        _give(supervisor, encode(orders))


def _give(supervisor: subprocess.Popen[bytes], orders: bytes) -> None:
    """Write the orders and let go: the supervisor is not waited for."""
    assert supervisor.stdin is not None  # noqa: S101
    with contextlib.suppress(BrokenPipeError), supervisor.stdin as pipe:  # killed: who follows finds it gone
        pipe.write(orders)
    supervisor.returncode = 0  # detached: Popen need not warn that it still runs
