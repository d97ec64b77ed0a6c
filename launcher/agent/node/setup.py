"""What a node needs before anything starts: paths that it sees, an environment, a container, ports."""

from __future__ import annotations

import json
import os
import socket
import sys
from typing import TYPE_CHECKING

from ..base import process_identity
from ..base.ports import bind, spread
from ..base.shared_fs import PathWaiter
from ..base.tail import tail_lines
from ..base.tmp import tmp_folder, tmp_name
from ..containers import podman
from ..containers.docker import DockerContainer

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from typing import Protocol

    from ..containers.engine_client import Engine
    from ..messages import Event, Place, PrepareNode, Process, Staging

    Report = Callable[[Event], object]

    class Owner(Protocol):
        """What a node offers to its setup."""

        mark: str
        engine: Engine | None
        report: Report

        def start(self, process: Process, tell: bool = True) -> None:
            """Start a process; its end comes by `NodeSetup.ended`."""

        def adopt(self, name: str, popen: subprocess.Popen[bytes]) -> None:
            """Own a process that was started; its end comes likewise."""

        def look_into_box(self) -> None:
            """Report what has ended in the container."""


STAGE = "stage"
"""The process that brings an environment here."""


class NodeSetup:
    """Acts on a `prepare` message, step by step; it is answered by `ports` or `refused`."""

    def __init__(self, node: Owner) -> None:
        self.box: podman.PodmanContainer | None = None
        """The container that the processes of this node are started in, once there is one."""
        self._node = node
        self._message: PrepareNode
        self._stage_log = ""
        self._waiter: PathWaiter | None = None
        self._held: list[socket.socket] = []
        self._stopped = False

    def begin(self, message: PrepareNode) -> None:
        """Start with the paths."""
        self._message = message
        self._waiter = PathWaiter(message["paths"])
        self.look()

    @property
    def looks(self) -> bool:
        """Whether there are paths to `look` at again."""
        return self._waiter is not None

    def look(self) -> None:
        """Go on once everything is seen that the run needs here; say so where it will not be."""
        if self._waiter is None:
            return
        if self._waiter.complete():
            self._waiter = None
            if self._message["stage"]:
                self._stage(self._message["stage"])
            else:
                self._start_box()
        else:
            problem = self._waiter.problem()
            if problem is not None:
                self._refuse(problem)

    def ended(self, name: str, code: int | None) -> bool:
        """Go on where a process has ended that was one of these steps; tell whether it was."""
        if name == STAGE:
            self._staged(code)
        elif name == podman.BOX:
            self._boxed(code)
        else:
            return False
        return True

    def stop(self) -> None:
        """Go no further, and say no more: the processes of this node are to end."""
        self._stopped = True
        self._waiter = None

    def free_ports(self) -> None:
        """Let go of the ports, which nothing listens on any more."""
        for held in self._held:
            held.close()
        self._held = []

    def _refuse(self, problem: str) -> None:
        self._waiter = None
        self._node.report({"event": "refused", "name": "", "message": problem})

    def _stage(self, staging: Staging) -> None:
        request = dict(staging, user=tmp_name(self._node.mark), owner=process_identity.identity())
        argv = [sys.executable, "-I", "-S", sys.argv[0], "stage", json.dumps(request)]
        env = {"LAUNCHER_MARK": self._node.mark}
        log = self._stage_log = "%s-%s.log" % (staging["log"], self._node.mark.rpartition("#")[2])
        self._node.start(
            {"name": STAGE, "argv": argv, "env": env, "path_prefix": None, "cwd": "/", "log": log}, tell=False
        )

    def _staged(self, code: int | None) -> None:
        if self._stopped:
            return
        if code == 0:
            self._start_box()
        else:
            lines = tail_lines(self._stage_log)
            self._refuse(lines[-1] if lines else "%s: staging ended with %s" % (os.uname().nodename, code))

    def _start_box(self) -> None:
        """Start the container of this node, where processes are to run in one."""
        wanted, folder = self._message["box"], tmp_folder(self._node.mark)
        try:
            if wanted and self._node.engine is not None:
                self.box = made = DockerContainer(wanted, folder, self._node.engine, self._hear)
                made.begin(self._engine_boxed)
                return
            made = podman.PodmanContainer(wanted, folder) if wanted else None
        except OSError as error:  # another user's folder in its place, or a full disk
            self._refuse(str(error))
            return
        problem = made.missing() if made is not None else None
        if problem is not None:
            self._refuse(problem)
            return
        if made is not None and made.kept:
            self._node.adopt(podman.BOX, made.start([sys.executable, "-I", "-S", sys.argv[0]]))
        self.box = made
        if made is None or not made.kept:
            self._hold_ports()

    def _boxed(self, code: int | None) -> None:
        if self.box is None or self._stopped:
            return
        problem = self.box.started(code)
        if problem is None:
            self._hold_ports()
        else:
            self._refuse(problem)

    def _engine_boxed(self, problem: str | None, place: Place | None) -> None:
        if problem is not None or place is None:
            self._refuse(problem or "")
            return
        # The network is its own and empty: numbers that differ are free.
        names = self._message["names"]
        ports = dict(zip(names, spread((self._message["range"][0], self._message["range"][1]), len(names))))  # noqa: B905  # Python 3.8
        self._node.report({"event": "ports", "ports": ports, "place": place})

    def _hear(self, event: Event | None) -> None:
        """Take what the engine says of the container; None: look into it."""
        if event is None:
            self._node.look_into_box()
        elif event["event"] != "broken" or not self._stopped:
            self._node.report(event)

    def _hold_ports(self) -> None:
        names, among = self._message["names"], self._message["range"]
        try:
            ports = {name: self._hold_port((among[0], among[1])) for name in names}
        except OSError as error:
            self._refuse(str(error))
        else:
            self._node.report({"event": "ports", "ports": ports})

    def _hold_port(self, among: tuple[int, int]) -> int:
        """Return a free port and keep it bound, but not listening.

        With SO_REUSEADDR on both sides Linux lets the process bind it too, while another agent's
        plain bind is refused (socket(7), ip(7)): no two runs get the same port.
        """
        for _ in range(1000):
            with bind("", among) as plain:
                port = plain.getsockname()[1]
            held = socket.socket()
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                held.bind(("", port))
            except OSError:
                held.close()
                continue
            self._held.append(held)
            return port
        raise OSError("no free port between %d and %d" % tuple(among))
