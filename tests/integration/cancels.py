"""How soon a canceled run is over, for the tests of each target."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from launcher.spec import State
from launcher.store.runs import read_run
from tests.integration.conftest import until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Collection

    from tests.integration.conftest import Lab

WITHIN_S = 20.0
"""It takes less than 5 s; a machine that runs other tests takes longer to start the command alone."""

IGNORES = """\
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print('up', flush=True)
time.sleep(600)
"""
"""A script that only SIGKILL ends."""


def until_state(lab: Lab, *states: State, number: int = 1) -> None:
    """Wait until a run is in one of these states."""
    folder = lab.store.run("mnist", number)
    until(lambda: folder.submit.exists() and read_run(folder).state in states, f"{folder.id} is in {states}")


def check_cancel(
    lab: Lab,
    launch: subprocess.Popen[str],
    *,
    number: int = 1,
    ends: Collection[State] = (State.CANCELED,),
    more: bool = False,
) -> None:
    """Cancel a run; check that it ends soon, with its launch and all of its processes.

    Args:
        lab: where it runs.
        launch: what follows it.
        number: of the run.
        ends: states that are right at its end.
        more: whether the launch has other runs to follow.
    """
    folder = lab.store.run("mnist", number)
    before, began = read_run(folder).state, time.monotonic()
    done = lab.command("runs", "cancel", folder.id)
    assert done.returncode == 0, done.stderr
    run = lab.over(folder)
    if not more:
        launch.communicate(timeout=60)
        assert launch.returncode == int(run.state is not State.COMPLETED)
        until(lambda: not lab.processes(folder), "no process")
    took_s = time.monotonic() - began
    print(f"canceled in {before}: over after {took_s:.1f} s")  # noqa: T201  # with -s
    assert run.state in ends
    if run.state is State.CANCELED:
        assert run.cause is not None
        assert run.cause.kind == "cancel"
    assert took_s < WITHIN_S
