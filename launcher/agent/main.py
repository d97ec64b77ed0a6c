"""Entry: `supervise` (configuration on stdin), `job`, `successor`, `survey` (in Slurm), `node`, `stage`."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Any, cast

from .base import atomic_json
from .base.guard import guarded
from .base.loop import Loop
from .base.memory import oom_kills
from .base.processes import command_line, marked
from .base.startup import open_missing, use_utf8
from .net.channel import Channel, ChannelClosed, connect
from .node.node import Node, remove_tmp
from .run.crash import settle_after_crash
from .run.supervisor import Supervisor, read_config
from .targets.docker import DockerTarget
from .targets.local import LocalTarget
from .targets.slurm import SlurmTarget, node_gpus

if TYPE_CHECKING:
    from .base.record_types import JobManifest, Spec, SupervisorConfig
    from .messages import Message


class _Agent:
    """The agent of a node other than the first: does what agent 0 says, and ends when it is gone."""

    def __init__(self) -> None:
        addresses = os.environ["LAUNCHER_AGENT_ADDRESSES"].split(",")
        token = os.environ.pop("LAUNCHER_AGENT_TOKEN")
        hello: dict[str, Any] = {"node": int(os.environ["LAUNCHER_AGENT_NODE"]), "gpus": None}
        if sys.argv[2:] == ["slurm"]:
            hello["gpus"] = node_gpus()
        self._loop = Loop()
        self._channel: Channel = connect(addresses, token, hello, timeout_s=30)
        self._node = Node(os.environ["LAUNCHER_AGENT_MARK"], self._channel.send)
        self._open = True
        self._guard = os.getppid()
        self._loop.selector.register(self._channel, 1, self._read)

    def work(self) -> int:
        """Serve until the channel closes."""
        try:
            while self._open and not self._has_to_end():
                now = time.monotonic()
                times = [now + 1.0]
                self._node.tick()
                times.append(self._node.deadline or times[0])
                self._channel.flush()
                self._channel.tick()
                self._loop.wait(min(times))
                self._loop.reap(self._node.reaped)
        except ChannelClosed as error:
            atomic_json.complain("lost agent 0: %s" % error)
        finally:
            self._node.close()
        return 0

    def _has_to_end(self) -> bool:
        """Tell whether to end before agent 0 says so.

        Slurm sends SIGTERM to all of a job at once; then agent 0 gives the processes their time.
        """
        by_slurm = sys.argv[2:] == ["slurm"] and os.getppid() == self._guard
        return self._loop.asked_to_end and not by_slurm

    def _read(self) -> None:
        try:
            for message in self._channel.receive():
                self._node.handle(cast("Message", message))
        except ChannelClosed:
            self._open = False


def _node() -> int:
    try:
        return _Agent().work()
    except ChannelClosed as error:
        atomic_json.complain("%s: no way to agent 0: %s" % (os.uname().nodename, error))
        return 1


def _job(folder: str) -> tuple[SupervisorConfig, SlurmTarget]:
    """Return what a Slurm job is there for: one run, or the one of an array's list that its index says."""
    manifest = cast("JobManifest | None", atomic_json.read(os.path.join(folder, "job.json")))
    if manifest is None:
        sys.exit("%s: no orders in %s" % (os.uname().nodename, folder))
    run = os.path.join(manifest["store"], manifest["runs"][int(os.environ.get("SLURM_ARRAY_TASK_ID", "0"))])
    spec = cast("Spec | None", atomic_json.read(os.path.join(run, "spec.json")))
    if spec is None:
        sys.exit("%s: %s is not there, or no longer" % (os.uname().nodename, run))
    return {"runs": [run], "max_parallel": 1, "gpus": None, "log": ""}, SlurmTarget(spec, folder)


def _supervise(config: SupervisorConfig, target: LocalTarget) -> None:
    """Run what the configuration says, under a guard; never returns."""
    guarded(
        lambda: Supervisor(config, target).work(),
        lambda: settle_after_crash(config["runs"], target),
        with_parent=False,
    )


def _succeed(folder: str) -> int:
    """Do what the guard of a job's agent would have done, which was killed; the agent itself may live."""
    signals: list[int] = []
    for signum in (signal.SIGTERM, signal.SIGUSR2):
        signal.signal(signum, lambda number, _frame: signals.append(number))
    served = os.fsencode("\0job\0%s\0" % folder)
    mark = {os.fsencode("SLURM_JOB_ID=" + os.environ["SLURM_JOB_ID"])}
    while any(command_line(pid).endswith(served) for pid in marked(mark) if pid != os.getpid()):
        time.sleep(0.1)
    # Else Slurm ends the job, or says that its memory was at its end: its word counts.
    if signal.SIGTERM not in signals and not oom_kills():
        config, target = _job(folder)
        settle_after_crash(config["runs"], target)
    return 1


def main() -> None:
    """Run what the command line names; never returns."""
    open_missing()
    use_utf8(["-I", "-S", *sys.argv])
    if sys.argv[1] == "supervise":
        config = read_config()
        if config is None:
            sys.exit(1)
        target = DockerTarget(config["engine"]) if "engine" in config else LocalTarget()
        _supervise(config, target)
    if sys.argv[1] == "job":
        _supervise(*_job(sys.argv[2]))
    if sys.argv[1] == "successor":
        sys.exit(_succeed(sys.argv[3]) if sys.argv[2] == "job" else 1)
    if sys.argv[1] == "stage":
        from .node.local_env import acquire  # noqa: PLC0415  # few runs have use for it

        sys.exit(acquire(json.loads(sys.argv[2])))
    if sys.argv[1] == "box":
        from .containers import podman  # noqa: PLC0415  # few runs have use for it

        podman.take(json.loads(sys.argv[2]))
    if sys.argv[1] == "survey":
        from .targets.cluster_check import survey  # noqa: PLC0415  # no run has use for it

        sys.exit(survey(sys.argv[2]))
    if "LAUNCHER_AGENT_NODE" not in os.environ:  # one of several that one srun started
        node = str(1 + int(os.environ["SLURM_PROCID"]))
        os.environ["LAUNCHER_AGENT_NODE"] = node
        os.environ["LAUNCHER_AGENT_MARK"] += "#" + node
    guarded(_node, lambda: remove_tmp(os.environ["LAUNCHER_AGENT_MARK"]), with_parent=True)
