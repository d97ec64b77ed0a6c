"""A container on a node, into which an attempt's processes are started.

podman keeps one box a node, and processes enter it by `podman exec`. Its first process reads from a pipe that
only the agent can write to: with the agent, however it ends, the box ends. Other runtimes have no box; their
command line (`wrap`) stands before that of every process.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING, Any

from ..base import atomic_json, container_argv, memory, process_identity
from ..base.network import listens
from ..base.node_leftovers import (
    CONTAINER_RECORD,
    is_abandoned,
    list_containers,
    podman,
    remove_container_folders,
)
from ..base.processes import command_line, members_of, parents, send, send_group
from ..base.secret_env import without_carriers
from ..base.tail import tail_lines
from ..base.tmp import own_folder

if TYPE_CHECKING:
    from ..base.failure_kinds import FailureKind
    from ..messages import Process

BOX = "box"
"""The process that starts one."""


def take(wanted: dict[str, Any]) -> None:
    """Become the podman that starts a box, once what killed agents left is removed; a process of its own."""
    left = [str(one["Id"]) for one in list_containers() if is_abandoned(one)]
    if left:
        podman(["rm", "--force", "--time", "0", "--ignore", *left])
    remove_container_folders()
    argv = container_argv.start_argv(wanted, (os.getuid(), os.getgid()), wanted["owner"])
    os.dup2(0, 3)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.execvp(argv[0], argv)  # noqa: S606  # no shell is wanted


class PodmanContainer:
    """The container of one attempt on this node."""

    look_again_s = 0.25
    """At processes that run on without what entered for them."""

    def __init__(self, wanted: dict[str, Any], folder: str) -> None:
        """Take note of what is wanted.

        Args:
            wanted: `container` (the options), `run`, `mounts`, `gpus`, `agent`, `python`, `prefix`.
            folder: the attempt's node-local one.
        """
        mounts = [*wanted["mounts"], [folder, folder, False]]
        if wanted["prefix"]:
            mounts += container_argv.interpreter_mounts(wanted["python"], wanted["prefix"])
        self.gpus = _devices(wanted["gpus"])
        self._wanted = dict(
            wanted,
            name=os.path.basename(folder),
            pidfile=os.path.join(folder, "box.pid"),
            mounts=container_argv.distinct(mounts),
            gpus=self.gpus,
        )
        self.kept = container_argv.is_kept(wanted["container"])
        self.log = os.path.join(folder, "box.log")
        self._folder = folder
        own_folder(folder)
        self._pipe = -1
        self._first = 0  # the process that is 1 in the box
        self._space = ""  # and its process namespace
        self._left: dict[str, tuple[int | None, int | None]] = {}  # runs on without what entered for it

    def missing(self) -> str | None:
        """Return why this node cannot have it, None where it can."""
        program = container_argv.enter_argv(self._wanted, [])[0]
        if shutil.which(program):
            return None
        runtime = self._wanted["container"]["runtime"]
        return "%s has no %s, which compute.container.runtime=%s needs" % (
            os.uname().nodename,
            program,
            runtime,
        )

    def start(self, argv: list[str]) -> subprocess.Popen[bytes]:
        """Start what starts the box, whose log is `log`.

        Args:
            argv: of the agent, as which `take` is reached.
        """
        kept = {"name": self._wanted["name"], "owner": process_identity.identity()}
        atomic_json.write(os.path.join(self._folder, CONTAINER_RECORD), kept)
        owner = atomic_json.encode(kept["owner"]).decode()
        reader, self._pipe = os.pipe()
        try:
            with open(self.log, "ab") as log:
                return subprocess.Popen(
                    [*argv, BOX, json.dumps(dict(self._wanted, owner=owner))],
                    env=without_carriers(os.environ),
                    stdin=reader,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
        finally:
            os.close(reader)

    def started(self, code: int | None) -> str | None:
        """Find the box that was started; return why there is none, None where there is.

        Args:
            code: with which that ended that started it.
        """
        if code != 0:
            told = tail_lines(self.log)
            words = told[-1] if told else "exit code %s" % code
            return "%s: podman could not start the container: %s" % (os.uname().nodename, words)
        try:
            with open(self._wanted["pidfile"]) as file:
                self._first = int(file.read())
            space = os.readlink("/proc/%d/ns/pid" % self._first)
        except (OSError, ValueError) as error:
            return "%s: the container ended at once: %s" % (os.uname().nodename, error)
        if space == os.readlink("/proc/self/ns/pid"):  # whose processes would all be taken for the run's
            return "%s: the container has the node's processes, such as by --pid=host" % os.uname().nodename
        self._space = space
        return None

    def enter(self, process: Process, env: dict[str, str]) -> tuple[list[str], dict[str, str], int]:
        """Return the line that starts a process in it, its own environment, and its standard input.

        Args:
            process: as a `start` message has it.
            env: what it would get outside: of that, what comes from this node alone stays there.
        """
        names = [name for name in env if name in process["env"] or "SLURM_" in name]
        lines = ["export %s=%s\n" % (name, shlex.quote(env[name])) for name in names]
        if process["path_prefix"]:
            lines.append("export LAUNCHER_PATH=%s\n" % shlex.quote(process["path_prefix"]))
        stdin = os.memfd_create("environment")
        with open(stdin, "wb", closefd=False) as file:
            file.write(os.fsencode("".join(lines)))
        os.lseek(stdin, 0, os.SEEK_SET)
        words = [self._end(process["name"]), process["log"], process["cwd"], *process["argv"]]
        argv = container_argv.enter_argv(self._wanted, words)
        return argv, dict(without_carriers(os.environ), LAUNCHER_MARK=env["LAUNCHER_MARK"]), stdin

    def ended(
        self, name: str, code: int | None, number: int | None
    ) -> list[tuple[str, int | None, int | None]]:
        """Return which processes have ended, with exit code or signal, as one of those that entered has.

        Its own end may tell nothing: Slurm tells all processes of a job to end, and podman obeys at once.
        """
        self._left[name] = code, number
        return self.look()

    def look(self) -> list[tuple[str, int | None, int | None]]:
        """Return which of those have ended meanwhile that went on without what entered for them."""
        found: list[tuple[str, int | None, int | None]] = []
        for name, (code, number) in list(self._left.items()):
            if self._runs(name):
                continue
            del self._left[name]
            found.append((name, *self._outcome(name, code, number)))
        return found

    def _outcome(self, name: str, code: int | None, number: int | None) -> tuple[int | None, int | None]:
        """Return exit code or signal of a process, given those of what entered for it."""
        told = self._told(name)
        if told:
            code, number = int(told), None
        elif told is not None:  # killed
            code, number = None, number or signal.SIGKILL
        elif code == 0:  # podman was told to end before it did anything
            code, number = None, signal.SIGTERM
        if code is not None and code > 128:  # noqa: PLR2004  # as shells tell of signals
            return None, code - 128
        return code, number

    @property
    def waits(self) -> bool:
        """Whether a process goes on without what entered for it."""
        return bool(self._left)

    def _end(self, name: str) -> str:
        return os.path.join(self._folder, "end-" + name)

    def _told(self, name: str) -> str | None:
        try:
            with open(self._end(name)) as file:
                return file.read().strip()
        except OSError:
            return None

    def _runs(self, name: str) -> bool:
        needle = os.fsencode(self._end(name)) + b"\0"
        return any(needle in command_line(pid) for pid in self.members())

    def members(self) -> list[int]:
        """Return the processes in the box, but for its first."""
        return [pid for pid in members_of(self._space) if pid != self._first] if self._space else []

    def signal(self, signum: int) -> bool:
        """Signal what was started in the box, SIGKILL all that is in it; tell whether there was anything."""
        found = self.members()
        if signum == signal.SIGKILL:
            for pid in found:
                send(pid, signum)
            return bool(found)
        parent_of, inside = parents(), {self._first, *found}
        tops = [pid for pid in found if parent_of.get(pid) not in inside]  # their parents are podman's
        for pid in tops:
            send_group(pid, signum)  # a runtime gives each a session of its own
        return bool(tops)

    def listens(self, port: int) -> bool:
        """Tell whether somebody in it accepts connections at a port; here its network is the node's."""
        return listens(port)

    def starved(self) -> bool:
        """Tell whether the kernel has killed processes of it for their memory."""
        return bool(self._first) and memory.oom_kills(own="/proc/%d/cgroup" % self._first) > 0

    def reason(self, name: str, number: int | None) -> tuple[FailureKind, str] | None:
        """Return kind and message of what ended a process by a signal, if it was not that alone."""
        del name, number
        return None

    @property
    def grace_s(self) -> float | None:
        """How long others may go on after one that has ended; None: as after any failure."""
        return None

    def leave(self) -> bool:
        """Have it removed, where that takes its time; tell whether it is gone. Harmless when called again."""
        return True

    def close(self) -> None:
        """Let the box end; `remove` waits for that."""
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1


def _devices(gpus: list[str]) -> list[str]:
    """Return the GPUs under the numbers that the whole node gives them (sbatch(1), srun(1))."""
    named = os.environ.get("SLURM_STEP_GPUS") or os.environ.get("SLURM_JOB_GPUS")
    return named.split(",") if gpus and named else gpus
