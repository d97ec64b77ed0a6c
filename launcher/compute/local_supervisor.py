"""Runs handed to a detached supervisor on this machine."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from launcher.agent.base.atomic_json import encode
from launcher.agent.base.process_identity import identity
from launcher.agent.base.secret_env import without_carriers
from launcher.compute.agent_code import install
from launcher.compute.secret_variables import secret_variables
from launcher.errors import NotFoundError
from launcher.paths import RunFolder, StoreFolder
from launcher.spec import State
from launcher.store.runs import enter

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def hand_over(folders: Sequence[Path], store: Path, **orders: Any) -> None:
    """Start one supervisor for all of them, which outlives this process.

    It gets its orders only after every run names it as its owner: a launcher that dies
    in between leaves runs that are seen to have no living owner, and a supervisor that ends.

    Args:
        folders: of the runs.
        store: they are in.
        orders: `max_parallel`, `gpus`, and `engine` where their nodes are containers.

    Raises:
        SubmitError: a secret has no value any more; the runs have ended as Failed.
    """
    runs = [RunFolder(folder) for folder in folders]
    carriers = secret_variables(runs)
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
            env={**without_carriers(os.environ), **carriers},
            pass_fds=orders.get("engine", {}).get("pipes", ()),
        )
    finally:
        os.close(descriptor)
    who = identity(supervisor.pid)
    for run in list(runs):
        try:
            enter(run, State.QUEUED, owner=who)
        except NotFoundError:  # deleted meanwhile, which is no matter of the others
            runs.remove(run)
    _give(supervisor, encode({"runs": [str(run.root) for run in runs], "log": str(log), **orders}))


def _give(supervisor: subprocess.Popen[bytes], orders: bytes) -> None:
    """Write the orders and let go: the supervisor is not waited for."""
    assert supervisor.stdin is not None  # noqa: S101
    with contextlib.suppress(BrokenPipeError), supervisor.stdin as pipe:  # killed: who follows finds it gone
        pipe.write(orders)
    supervisor.returncode = 0  # detached: Popen need not warn that it still runs
