"""A box that the container engine of this machine keeps, and processes that the engine starts in it."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING, Any

from ..base import atomic_json, process_identity
from ..base.failure_kinds import FailureKind
from ..base.network import listens
from ..base.node_leftovers import OWNER_RECORD
from .podman import PodmanContainer

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..messages import Event, Place, Process
    from .engine_client import Engine

    Report = Callable[["Event | None"], object]
    Ready = Callable[["str | None", "Place | None"], object]

HOLD_S = 1.0
"""How long the end of a killed process, or a refused start, is held back: the engine may report the reason
meanwhile."""

STOP_S = 10.0
"""How long processes may go on after the first has ended in a container that is stopped from outside, as with
docker stop."""

_STOPPED = "the container of %s was stopped from outside"
_ENGINE_STOPPED = "the engine stopped, or was started again, and ended the container of %s"

LEAVE_S = 40.0
"""For the engine to remove a box, also one that is being started again."""


class DockerContainer(PodmanContainer):
    """See `Box`; here nothing enters, and all is asked for and heard of."""

    look_again_s = 1.0  # the engine tells at once

    def __init__(self, wanted: dict[str, Any], folder: str, engine: Engine, report: Report) -> None:
        super().__init__(wanted, folder)
        self._gone = False  # removed by the engine
        self._engine = engine
        self._report = report
        self._asked: set[str] = set()
        self._refusals: dict[str, tuple[float, FailureKind, str]] = {}
        """By name: when to report it, kind and message."""
        self._dead: tuple[FailureKind, str] | None = None  # kind and message
        self._starved = False
        self._killed_at: dict[str, float] = {}
        self._stop: tuple[FailureKind, str] | None = None  # kind and message, once it is known who stopped it
        self._stop_asked = False
        self._leave_by: float | None = None
        self._network = wanted["network"]
        self._fifo = os.path.join(folder, "alive")

    def missing(self) -> str | None:
        """See `Box.missing`."""
        return None

    def begin(self, ready: Ready) -> None:
        """Have it started; `ready` gets why there is none, or None and where it is."""
        atomic_json.write(os.path.join(self._folder, OWNER_RECORD), process_identity.identity())
        os.mkfifo(self._fifo, 0o600)
        self._pipe = os.open(self._fifo, os.O_RDWR | os.O_CLOEXEC)
        wanted = dict(self._wanted, do="up", fifo=self._fifo)
        wanted.update(user=self._engine.user, groups=self._engine.groups, remapped=self._engine.remapped)
        wanted.update(login=self._engine.login, home=self._folder)
        wanted["labels"] = {
            "launcher.run": self._wanted["run"],
            "launcher.owner": atomic_json.encode(process_identity.identity()).decode(),
            "launcher.supervisor": self._engine.token,
        }
        self._engine.listen(self._wanted["name"], self._on_event)

        def hear(answer: dict[str, Any]) -> None:
            if "error" in answer:
                ready("%s: %s" % (self._wanted["hostname"], answer["error"]), None)
                return
            self._first = answer["ok"]["pid"]
            try:
                self._space = os.readlink("/proc/%d/ns/pid" % self._first)
            except OSError as error:
                words = (self._wanted["hostname"], error)
                ready("the container of %s ended at once, or the engine runs elsewhere: %s" % words, None)
                return
            ready(None, answer["ok"])

        self._engine.ask(wanted, hear)

    def run(self, process: Process, env: dict[str, str]) -> None:
        """Have a process started in it, and report on it."""
        name = process["name"]
        os.close(os.open(process["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600))
        given = {key: env[key] for key in env if key in process["env"]}
        if process["path_prefix"]:
            given["LAUNCHER_PATH"] = process["path_prefix"]
        if os.getuid():
            given.setdefault("HOME", self._folder)  # a user whom the image does not know has none
        for name_of in ("USER", "LOGNAME"):
            given.setdefault(name_of, self._engine.login)
        words = [self._end(name), process["log"], process["cwd"], *process["argv"]]
        argv = ["sh", self._wanted["agent"] + "/containers/enter.sh", *words]
        self._asked.add(name)

        def hear(answer: dict[str, Any]) -> None:
            begun = name not in self._asked
            lost = "error" in answer and answer.get("lost")
            if lost and (begun or self._told(name) is not None):
                answer = {}  # where nobody tells the end of what has begun, it is seen
            if "error" in answer:
                kind, message = FailureKind.START, "%s: %s" % (process["argv"][0], answer["error"])
                if lost:
                    kind, message = FailureKind.ENGINE_LOST, "lost the container engine: %s" % answer["error"]
                self._refusals[name] = time.monotonic() + HOLD_S, kind, message
                self._tell()
                return
            if not begun:  # its end may be told first
                self._asked.discard(name)
                self._left[name] = None, None
                self._report({"event": "started", "name": name, "pid": None})
            if "ended" in answer and name in self._left:
                self._left[name] = answer["ended"], None
            self._tell()

        request = {"do": "exec", "box": self._wanted["name"], "argv": argv, "env": given}
        self._engine.ask(request, hear)

    def look(self) -> list[tuple[str, int | None, int | None]]:
        """See `Box.look`; what was killed is held back for a moment."""
        now = time.monotonic()
        self._refuse(now)
        found: list[tuple[str, int | None, int | None]] = []
        for name, (code, number) in list(self._left.items()):
            if self._runs(name):
                self._killed_at.pop(name, None)  # of a look before it had begun
                continue
            hold_s = STOP_S if self._is_stopped() else HOLD_S
            if self._unexplained(name) and now < self._killed_at.setdefault(name, now + hold_s):
                continue
            if self._left.pop(name, None) is None:  # reported when the engine answered
                continue
            found.append((name, *self._outcome(name, code, number)))
        return found

    def _refuse(self, now: float) -> None:
        """Report what could not be started, once it is known whether its container has ended meanwhile."""
        why = self._why()
        for name, (report_at, *_) in list(self._refusals.items()):
            if why is None and now < report_at:
                continue
            kind, message = why or self._refusals[name][1:]
            del self._refusals[name]
            self._asked.discard(name)
            self._report({"event": "refused", "name": name, "message": message, "kind": kind})

    def _unexplained(self, name: str) -> bool:
        if self._leave_by is not None or self._ended_before_stop(name):
            return False
        return self._stopper() is None if self._is_stopped() else not self._told(name) and self._why() is None

    def _is_stopped(self) -> bool:
        """Return whether its first process got SIGTERM, which only others send (see `KEEPER`)."""
        return os.path.exists(self._fifo + ".stopped")

    def _ended_before_stop(self, name: str) -> bool:
        """Return whether a process reported its end before its container was stopped."""
        try:
            return bool(self._told(name)) and (
                os.stat(self._end(name)).st_mtime < os.stat(self._fifo + ".stopped").st_mtime
            )
        except OSError:
            return False

    def _stopper(self) -> tuple[FailureKind, str] | None:
        """Return who stopped it, as kind and message; None until the engine has been asked."""
        if not self._stop_asked:
            self._stop_asked = True
            self._engine.ask({"do": "ping"}, self._on_ping)
        return self._stop

    def _on_ping(self, answer: dict[str, Any]) -> None:
        try:
            away = self._engine.was_away(os.stat(self._fifo + ".stopped").st_mtime)
        except OSError:
            away = False
        self._stop = FailureKind.CONTAINER_LOST, _STOPPED
        if away or "ok" not in answer:
            self._stop = FailureKind.ENGINE_LOST, _ENGINE_STOPPED
        if self._dead is not None:
            self._break()
        self._tell()

    def _outcome(self, name: str, code: int | None, number: int | None) -> tuple[int | None, int | None]:
        if self._told(name) is None and code is None:
            return None, number or int(signal.SIGKILL)
        return super()._outcome(name, code, number)

    @property
    def waits(self) -> bool:
        """See `Box.waits`."""
        return bool(self._left or self._asked)

    def reason(self, name: str, number: int | None) -> tuple[FailureKind, str] | None:
        """See `Box.reason`."""
        if self._ended_before_stop(name):
            return None
        return self._why() if number == signal.SIGKILL or self._is_stopped() else None

    @property
    def grace_s(self) -> float | None:
        """See `Box.grace_s`."""
        return STOP_S if self._is_stopped() else None

    def starved(self) -> bool:
        """See `Box.starved`; the engine tells too, also once the box is gone."""
        self._starved = self._starved or super().starved()
        return self._starved

    def listens(self, port: int) -> bool:
        """See `Box.listens`; here the network is the container's."""
        return listens(port, str(self._first))

    def signal(self, signum: int) -> bool:
        """See `Box.signal`; without the pid namespace nothing is there."""
        if signum == signal.SIGTERM and self._is_stopped():
            return True  # all in it have got it
        return super().signal(signum) if self._space else False

    def leave(self) -> bool:
        """See `Box.leave`."""
        if self._leave_by is not None:
            return self._gone or time.monotonic() > self._leave_by
        self._leave_by = time.monotonic() + LEAVE_S
        self.close()

        def hear(answer: dict[str, Any]) -> None:
            del answer  # where it cannot be removed now, it is later, by its labels
            self._gone = True
            self._engine.forget(self._wanted["name"])

        request = {"do": "down", "name": self._wanted["name"], "network": self._network}
        self._engine.ask(request, hear)
        return False

    def _on_event(self, event: dict[str, Any]) -> None:
        if event["event"] == "oom":
            self._starved = True
            return
        if self._dead is not None or self._leave_by is not None or not self._first:
            return  # while it is being started, the answer to that tells
        told = "it was removed from outside"
        if self._starved:
            told = "it used more memory than it was given"
        elif event["code"] > 128:  # noqa: PLR2004  # as shells tell of signals
            told = "it was killed by signal %d" % (event["code"] - 128)
        elif event["code"] < 0:
            told = "the engine was started again"
        kind = FailureKind.ENGINE_LOST if event["code"] < 0 else FailureKind.CONTAINER_LOST
        if self._starved:
            kind = FailureKind.OUT_OF_MEMORY
        self._dead = kind, "the container of %s ended: %s" % (self._wanted["hostname"], told)
        if not self._is_stopped() or self._stopper() is not None:
            self._break()
        self._tell()

    def _break(self) -> None:
        why = self._why()
        if why is not None:
            self._report({"event": "broken", "kind": why[0], "message": why[1]})

    def _why(self) -> tuple[FailureKind, str] | None:
        if self._is_stopped() and not self._starved:
            stopped = self._stopper()
            return stopped and (stopped[0], stopped[1] % self._wanted["hostname"])
        if self._dead is not None:
            return self._dead
        if self._engine.lost is not None and not os.path.exists("/proc/%d" % self._first):
            return FailureKind.ENGINE_LOST, "lost the container engine: %s" % self._engine.lost
        return None

    def _tell(self) -> None:
        self._report(None)
