"""The processes of one attempt on this node: started, watched and ended by messages.

The same messages pass in memory on agent 0's own node and over the channel from any other; messages.py has
all of them, and the events that answer them.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from typing import TYPE_CHECKING

from ..base import memory, node_leftovers, process_logs
from ..base.network import listens
from ..base.process_env import base_environment
from ..base.processes import (
    descendants,
    die_with_parent,
    end_marked,
    end_tree,
    handles,
    marked,
    program,
    protect,
    send,
    send_group,
)
from ..base.secret_env import fill_secrets
from ..base.tmp import OWN_TMP, is_own, own_folder, tmp_folder, tmp_name
from ..containers.docker import DockerContainer
from .setup import NodeSetup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..containers import podman
    from ..containers.engine_client import Engine
    from ..messages import Event, Message, Process, StartDaemon

    Report = Callable[[Event], object]

MPI_PROGRAMS = (
    "mpirun",
    "orterun",
    "prterun",
    "orted",
    "prted",
    "mpiexec.hydra",
    "hydra_pmi_proxy",
    "srun",
    "sh",
)
"""`sh` is rank.sh, which would pass the signal on a second time."""


LOOK_AGAIN_S = 0.25
"""At paths that a node does not see yet."""


def remove_tmp(mark: str) -> None:
    """Remove what an attempt has on this node's disk, and its container."""
    folder = tmp_folder(mark)
    # If the container stays, its record does too: the next search for leftovers needs it.
    if is_own(folder) and node_leftovers.remove_container(folder):
        shutil.rmtree(folder, ignore_errors=True)
    node_leftovers.release_environments(tmp_name(mark))


class Node:
    """Owns every process that an attempt has on this node."""

    def __init__(self, mark: str, report: Report, engine: Engine | None = None) -> None:
        self.mark = mark
        self.report = report
        self.engine = engine
        self._processes: dict[int, tuple[str, subprocess.Popen[bytes]]] = {}
        self._setup = NodeSetup(self)
        self._awaited: set[int] = set()
        self._kill_at: float | None = None
        self._step = False  # ranks here are no children of this agent, but of Slurm's step
        self._oom_kills = memory.oom_kills()  # of attempts before this one

    @property
    def _box(self) -> podman.PodmanContainer | None:
        return self._setup.box

    def handle(self, message: Message) -> None:
        """Act on one message."""
        if message["do"] == "prepare":
            self._step = message["step"]
            self._setup.begin(message)
        elif message["do"] == "start":
            for process in message["processes"]:
                self.start(process)
        elif message["do"] == "daemon":
            self._start_daemon(message)
        elif message["do"] == "await":
            self._awaited.add(message["port"])
        elif message["do"] == "warn":
            self._warn(message["signal"])
        elif message["do"] == "end":
            self._end(message["grace"])

    def _start_daemon(self, message: StartDaemon) -> None:
        # In the foreground it stays this agent's child, and its messages are in the log.
        command = message["command"].replace(" --daemonize", "", 1)
        process = message["process"].copy()
        # Two daemons of one job would race for one session folder (Open MPI 4, one machine acts several).
        process["env"] = dict(process["env"], TMPDIR=OWN_TMP)
        process["argv"], process["tmp"] = ["sh", "-c", command], "daemon"
        self.start(process)

    @property
    def idle(self) -> bool:
        """Whether no process is left."""
        return not self._processes and not (self._box is not None and self._box.waits)

    @property
    def deadline(self) -> float | None:
        """When `tick` has something to do at the latest (monotonic seconds)."""
        if self._setup.looks:
            return time.monotonic() + LOOK_AGAIN_S
        if self._box is not None and self._box.waits:
            return time.monotonic() + self._box.look_again_s
        return time.monotonic() + 0.02 if self._awaited else self._kill_at

    def tick(self) -> None:
        """Do what is due."""
        self._setup.look()
        self.look_into_box()
        for port in sorted(self._awaited):
            if listens(port) if self._box is None else self._box.listens(port):
                self._awaited.discard(port)
                self.report({"event": "listening", "port": port})
        if self._kill_at is not None and time.monotonic() >= self._kill_at:
            in_box = self._box is not None and self._box.signal(signal.SIGKILL)
            for pid in () if in_box else self._processes:  # what entered a box ends with what it started
                end_tree(pid)
                send_group(pid, signal.SIGKILL)
            self._kill_at = None if self.idle else time.monotonic() + 0.5

    def reaped(self, pid: int, status: int) -> bool:
        """Take note of a dead child; tell whether it was one of this node's."""
        known = self._processes.pop(pid, None)
        if known is None:
            return False
        name, popen = known
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
        code = None if number is not None else os.WEXITSTATUS(status)
        popen.returncode = code if code is not None else -(number or 0)  # or Popen warns that it still runs
        send_group(pid, signal.SIGKILL)  # what it left in its own group
        if self._setup.ended(name, code):
            return True
        ends = [(name, code, number)] if self._box is None else self._box.ended(name, code, number)
        self._tell_ends(ends)
        return True

    def look_into_box(self) -> None:
        """Tell of processes that have ended in the container meanwhile."""
        self._tell_ends(self._box.look() if self._box is not None else ())

    def _tell_ends(self, ends: Iterable[tuple[str, int | None, int | None]]) -> None:
        for name, code, number in ends:
            reason = None if self._box is None else self._box.reason(name, number)
            self.report(
                {
                    "event": "exited",
                    "name": name,
                    "exit_code": code,
                    "signal": number,
                    "out_of_memory": self.starved(),
                    "reason": None if reason is None else list(reason),
                    "grace_s": None if self._box is None else self._box.grace_s,
                }
            )

    def starved(self) -> bool:
        """Return whether the kernel has killed processes on this node because of their memory."""
        if isinstance(self._box, DockerContainer):
            return self._box.starved()  # the agent is of another control group, with who knows whom
        return (self._box is not None and self._box.starved()) or memory.oom_kills() > self._oom_kills

    def survived(self) -> bool:
        """Return whether processes of this node itself were killed for memory; only containers show it."""
        return isinstance(self._box, DockerContainer) and self._box.starved()

    def leave(self) -> bool:
        """Let go of the container; tell whether it is gone, where that takes its time."""
        if self._box is None:
            return True
        self._box.starved()  # the last chance to see it
        return self._box.leave()

    def close(self, more_marks: Iterable[str] = ()) -> None:
        """Kill whatever is left of the attempt here, also what detached itself; free the ports.

        Args:
            more_marks: of nodes that this machine acts too, whose agents may have been killed.
        """
        marks = {self.mark, *more_marks}
        names = ("LAUNCHER_MARK", "LAUNCHER_AGENT_MARK")
        if self._box is not None:
            self._box.close()
        for pid in list(self._processes):
            end_tree(pid)
        end_marked({os.fsencode("%s=%s" % (name, mark)) for name in names for mark in marks})
        for pid in self._strangers():
            send(pid, signal.SIGKILL)
        self._setup.free_ports()
        for mark in marks:
            remove_tmp(mark)

    def adopt(self, name: str, popen: subprocess.Popen[bytes]) -> None:
        """Own a process that was started for this node."""
        self._processes[popen.pid] = (name, popen)

    def start(self, process: Process, tell: bool = True) -> None:
        """Start a process, in the container where there is one; `tell`: report that it was."""
        if isinstance(self._box, DockerContainer):
            try:
                self._box.run(process, self._environment(process))
            except OSError as error:
                self.report({"event": "refused", "name": process["name"], "message": _why(error, process)})
            return
        log = stdin = -1
        try:
            log = os.open(process["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            process_logs.link_public(process["log"])
            argv, env = process["argv"], self._environment(process)
            if self._box is not None:
                argv, env, stdin = self._box.enter(process, env)
            elif "stdin" in process:
                stdin = os.open(process["stdin"], os.O_RDONLY | os.O_CLOEXEC)
            # In a container the snapshot is mounted read-only already.
            frozen = process.get("frozen") if self._box is None and os.geteuid() == 0 else None
            popen = subprocess.Popen(
                argv,
                cwd=process["cwd"],
                env=env,
                stdin=subprocess.DEVNULL if stdin < 0 else stdin,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=lambda: _before_exec(frozen),  # noqa: PLW1509  # one thread, and system calls alone
            )
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            self.report({"event": "refused", "name": process["name"], "message": _why(error, process)})
            return
        finally:
            for fd in (log, stdin):
                if fd >= 0:
                    os.close(fd)
        self.adopt(process["name"], popen)
        if tell:
            self.report({"event": "started", "name": process["name"], "pid": popen.pid})

    def _environment(self, process: Process) -> dict[str, str]:
        env = base_environment(process["path_prefix"], process.get("slurm", True))
        env.update(fill_secrets(process["env"], os.environ))
        if env.get("TMPDIR") == OWN_TMP:
            env["TMPDIR"] = self._make_tmp(process.get("tmp", "job"))
        return env

    def _make_tmp(self, name: str) -> str:
        return own_folder(os.path.join(own_folder(tmp_folder(self.mark)), name))

    def _warn(self, signum: int) -> None:
        """Send a signal to what handles it, but not to MPI's own programs, which would end their ranks."""
        own = [pid for top in self._processes for pid in (top, *descendants(top))]
        in_box = self._box.members() if self._box is not None else []
        for pid in {*own, *in_box, *self._strangers()}:
            if handles(pid, signum) and program(pid) not in MPI_PROGRAMS:
                send(pid, signum)

    def _strangers(self) -> list[int]:
        """Return the processes of the attempt that are not below this agent."""
        return marked({os.fsencode("LAUNCHER_MARK=" + self.mark)}) if self._step else []

    def _end(self, grace: float) -> None:
        self._awaited.clear()
        self._setup.stop()
        if self._box is None or not self._box.signal(signal.SIGTERM):
            for pid in list(self._processes):
                send_group(pid, signal.SIGTERM)
        at = time.monotonic() + grace
        self._kill_at = at if self._kill_at is None else min(at, self._kill_at)


def _before_exec(frozen: str | None) -> None:
    die_with_parent()
    if frozen is not None:
        protect(frozen)


def _why(error: Exception, process: Process) -> str:
    if isinstance(error, FileNotFoundError) and error.filename == process["argv"][0]:
        return "%s: no such program" % process["argv"][0]
    return "%s: %s" % (process["argv"][0], error)
