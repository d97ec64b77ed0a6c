"""Where an attempt runs: on this machine, which acts all its nodes, or on the nodes of a Slurm job."""

from __future__ import annotations

import os
import signal
import socket
import sys
from typing import TYPE_CHECKING

from ..base.failure_kinds import FailureKind
from ..base.network import LOOPBACK, Interface
from ..base.ports import PORTS, bind
from .decision import Action, Decision

if TYPE_CHECKING:
    import selectors
    from collections.abc import Callable

    from ..base.record_types import Cause
    from ..containers.engine_client import Engine
    from ..net.peers import Peers


class LocalTarget:
    """This machine. Also what all sites share."""

    together = False
    """Whether one process looks after all nodes of a run."""
    remote_nodes = False
    """Whether the other nodes of a run are other machines, which may see files later."""
    engine: Engine | None = None
    """The way to what keeps the nodes' containers."""
    ports: tuple[int, int] = PORTS
    """First port, and the one after the last."""
    grace_s = 3.0
    """For processes to end when this agent is told to."""
    address = LOOPBACK.address
    """On which agent 0 listens."""

    def open(self, selector: selectors.BaseSelector) -> None:
        """Make ready for runs in a supervisor's loop."""

    def close(self) -> None:
        """Give back what `open` took."""

    def lost(self) -> None:
        """See to what is left of runs whose supervisor was killed."""

    def names(self, size: int) -> list[str]:
        """Return the names of the nodes, the first of which is this one."""
        return ["node%d" % node for node in range(size)] if size > 1 else [socket.gethostname()]

    def lead(self, size: int) -> Interface | None:
        """Return the interface by which the others reach this node; None while that is not known."""
        del size
        return LOOPBACK

    def gpus(self) -> list[str] | None:
        """Return the GPUs of this node; None where the orders name them."""
        return None

    def start_agents(self, peers: Peers, size: int, mark: str, folder: str) -> None:
        """Start the agents of all nodes but the first."""
        for node in range(1, size):
            argv = [sys.executable, "-I", "-S", sys.argv[0], "node"]
            log = os.path.join(folder, "node-%d.log" % node)
            peers.start([node], argv, [self.address], "%s#%d" % (mark, node), log)

    def startup_error(self, folder: str) -> str | None:
        """Return why an agent that was started will not come, as far as is known.

        Args:
            folder: of the attempt.
        """
        del folder
        return None

    def claim_attempt(self, run: str) -> int:
        """Return the number of the first attempt here."""
        del run
        return 0

    def try_claim_attempt(self, run: str, number: int) -> bool:
        """Claim the next attempt; tell whether it is this process's to begin."""
        del run, number
        return True

    def is_superseded(self, run: str, number: int) -> bool:
        """Tell whether a later attempt has begun elsewhere, so that this one has to go."""
        del run, number
        return False

    def warning(self) -> tuple[FailureKind, str, int, float]:
        """Return what SIGUSR2 means: kind and message of the cause, signal to pass on, seconds left."""
        return FailureKind.ENDED, "the supervisor was told to end", int(signal.SIGTERM), 0.0

    def more_s(self, limit_min: float) -> float:
        """Return how long an attempt may go on at its time limit; infinite where this process ends it not."""
        del limit_min
        return 0.0

    def left_s(self) -> float:
        """Return how long one may go on whose end was announced; infinite where its end is far by now."""
        return 0.0

    def exit_code(self, failed: int) -> int:
        """Return what this process tells of the number of runs that did not complete."""
        del failed
        return 0

    def requeue_after_crash(self, number: int) -> bool:
        """See to another attempt after this process broke down; tell whether there will be one."""
        del number
        return False

    def patience_s(self, cause: Cause | None) -> float:
        """Return how long a failure waits for its reason before it is decided what follows."""
        del cause
        return 0.0

    def next_action(self, outcome: str, cause: Cause | None, left: int, asked: bool) -> Decision:
        """Return what follows an attempt.

        Args:
            outcome: of the attempt.
            cause: of its failure.
            left: retries that are left.
            asked: whether this process has been asked to end.
        """
        del cause
        again = outcome == "Failed" and left > 0 and not asked
        return Decision(Action.RETRY if again else Action.CONCLUDE, outcome)

    def requeue(self, number: int, asked: Callable[[], bool]) -> bool:
        """Have the scheduler start a run again; return whether it will.

        Args:
            number: of the attempt that is over.
            asked: tells whether this process has been asked to end.
        """
        del number, asked
        return False

    def listen(self) -> socket.socket:
        """Return a bound socket for the other agents."""
        return bind(self.address, self.ports)
