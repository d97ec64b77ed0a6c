"""One attempt of a run, from its folder to its outcome; agent 0's work."""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING, Any, cast

from ..base import atomic_json, disk_reserve, process_logs
from ..base.failure_kinds import FailureKind
from ..base.network import interface_of
from ..base.node_leftovers import PODMAN_S
from ..base.ports import few_ports
from ..base.shared_fs import display_path
from ..mpi.remote_shell import Daemons
from ..net.peers import END_WITHIN_S, Peers
from ..node.node import Node
from . import environment_build, failure, links, workdir
from .commands import Commands
from .deadlines import Deadlines
from .frozen_source import FrozenSource
from .process_records import Processes, new_record
from .state import State

if TYPE_CHECKING:
    import selectors
    from collections.abc import Callable

    from ..base.network import Interface
    from ..base.record_types import Cause, ProcessRecord, Spec, Submit
    from ..messages import (
        Beat,
        Broken,
        Event,
        Exited,
        Hello,
        Listening,
        Lost,
        Message,
        Ports,
        Process,
        Refused,
        Started,
    )
    from ..targets.local import LocalTarget

HELLO_TIMEOUT_S = 60.0
"""How long the other agents of a run have to appear."""

GRACE_S = 3.0
"""Between SIGTERM and SIGKILL."""

_SURVIVED = "launcher: the kernel killed a process of this run on %s for its memory: see memory_gib"

START_FOR_S = 0.2
"""How long processes are started at a stretch."""

RECORD_EVERY_S = 1.0
"""How often starts and ends of processes are recorded while the attempt runs."""


class Attempt:
    """Starts the processes of a plan in order, ends all at the first failure, keeps the record.

    `outcome` is None until everything is over; then it is Completed, Failed or Canceled.
    """

    def __init__(  # noqa: PLR0913, PLR0917  # two records, and where they go
        self,
        run: str,
        number: int,
        spec: Spec,
        submit: Submit,
        gpus: list[list[str]],
        selector: selectors.BaseSelector,
        target: LocalTarget,
    ) -> None:
        self.outcome: str | None = None
        self.cause: Cause | None = None
        self._run = run
        self.number = number
        self._spec = spec
        self._selector = selector
        self._target = target
        self._commands = Commands(run, number, spec, submit, gpus)
        self._commands.values["few_ports"] = few_ports(target.ports)
        self._folder = os.path.join(run, "attempts", str(number))
        self._size: int = spec["plan"]["nodes"]
        self._names = target.names(self._size)
        self._preparation = environment_build.Builder(run, number, submit)
        self._processes = Processes(run, self._folder, self._commands.records(self._names))
        self._state = State(self._folder, number, self._names, self._processes.records)
        self._met: set[int] = set()
        self._ready: set[int] = set()
        self._queue: list[tuple[int, Process, str | None]] = []
        self._awaited: str | None = None  # the process that the rest waits for
        self._verdict: str | None = None  # decided, while processes are still ending
        self._stuck_at = 0.0  # when to wait no longer for what other agents tell
        self._source = FrozenSource(run, "%s#%d" % (run, number))
        self._deadlines = Deadlines(run, number, spec["resources"]["time_limit_min"], target)
        self._nodes = {node: self._node(node) for node in range(self._size if target.together else 1)}
        self._peers: Peers | None = None
        self._daemons: Daemons | None = None
        self._handlers: dict[str, Callable[[int, Any], None]] = {
            "hello": self._on_hello,
            "ports": self._on_ports,
            "beat": self._on_beat,
            "listening": self._on_listening,
            "started": self._on_started,
            "refused": self._on_refused,
            "broken": self._on_broken,
            "exited": self._on_exited,
            "lost": self._on_lost,
        }
        self._hello_by: float | None = None
        self._next_record = time.monotonic() + RECORD_EVERY_S

    def _node(self, node: int) -> Node:
        """Return a node that this process looks after itself."""
        mark = self._commands.node_mark(node)
        return Node(mark, lambda event: self._on_event(node, event), self._target.engine)

    # --- what the supervisor calls -----------------------------------------------------------------

    def start(self) -> None:
        """Make the folders and start what can be started; a failure is an outcome, not an exception."""
        try:
            os.makedirs(self._folder, exist_ok=True)
            disk_reserve.take(self._folder)
            self._state.enter("Preparing" if self._preparation.needed else "Starting")
            mode = "copy" if self._commands.project_links else self._spec["work"]
            app, cwd = self._spec.get("app") is not None, self._spec.get("cwd") or ""
            workdir.make(self._run, self.number, mode, app=app, cwd=cwd, paths=self._commands.links())
            # Not those of other nodes: a file system that caches would go on to show them empty here.
            local = None if not self._target.remote_nodes else self._names[0]
            logs = [
                os.path.basename(who["log"])
                for who in self._processes.records
                if local is None or who["node"] == local
            ]
            logs += [environment_build.LOG] if self._preparation.needed else []
            process_logs.publish(self._run, self.number, logs)
            self._deadlines.start()
        except OSError as error:
            self._fail(FailureKind.START, "the run could not be started: %s" % error)
            return
        error = self._source.start_error()
        if error is not None:
            self._fail(FailureKind.SOURCE, error)
        elif self._preparation.needed:
            self._prepare()
        else:
            self._begin()

    def _prepare(self) -> None:
        """Have the environment built that the launcher left to the job."""
        unseen = [display_path(path) for path in self._preparation.paths() if not os.path.exists(path)]
        if unseen:
            words = (self._names[0], ", ".join(unseen))
            self._fail(
                FailureKind.ENVIRONMENT, "%s does not see %s, which environment.build_on=job needs" % words
            )
            return
        builder = self._preparation.record(self._names[0])
        self._processes.add(environment_build.NAME, builder)
        self._processes.expect(environment_build.NAME)
        process = self._preparation.process(self._commands.logs, self._commands.node_mark(0))
        self._send(0, {"do": "start", "processes": [process]})

    def _prepared(self, who: ProcessRecord) -> None:
        environment, error = self._preparation.result()
        if who["exit_code"] == 0 and environment is not None:
            self._commands.use(environment)
            self._state.enter("Starting")
            self._begin()
        else:
            words = (who["node"], error or "exit code %s" % who["exit_code"])
            self._fail(FailureKind.ENVIRONMENT, "the environment could not be built on %s: %s" % words, who)

    def _begin(self) -> None:
        """Start the other nodes' agents, and meet this one's."""
        try:
            if self._spec["plan"]["mpi"] is not None:
                self._daemons = Daemons(self._folder, self._selector, self._start_daemon)
            if self._size > len(self._nodes):
                # An agent that is killed while it removes its container leaves it to the next launch there.
                within_s = END_WITHIN_S + (PODMAN_S if self._commands.box(0) else 0)
                self._peers = Peers(self._selector, self._on_event, self._target.listen(), within_s)
                self._hello_by = time.monotonic() + HELLO_TIMEOUT_S
                self._target.start_agents(self._peers, self._size, self._commands.mark, self._folder)
            lead = self._target.lead(self._size)
            if lead is not None:
                self._meet_lead(lead)
            elif self._target.together:
                for node in self._nodes:
                    self._on_hello(node, {"event": "hello"})
        except OSError as error:
            self._fail(FailureKind.START, "the run could not be started: %s" % error)

    def reaped(self, pid: int, status: int) -> bool:
        """Take note of a dead child; tell whether it belongs to this attempt."""
        mine = any(node.reaped(pid, status) for node in self._nodes.values())
        return mine or (self._peers is not None and self._peers.reaped(pid, status))

    def tick(self) -> float:
        """Do what is due; return when to be called again at the latest (monotonic seconds)."""
        now = time.monotonic()
        for node in self._nodes.values():
            node.tick()
        if self._queue and self._awaited is None:
            self._start_next()
            now = time.monotonic()
        if self._verdict is None:
            self._look_for_ends(now)
        if self._verdict is None and now >= self._next_record:
            self._next_record = now + RECORD_EVERY_S
            self._record_processes()
        if self._verdict is not None and now >= self._stuck_at:
            self._processes.only(self._names[node] for node in self._nodes)
        if self._peers is not None:
            self._peers.tick()
        self._finish_if_over()
        if self._queue and self._awaited is None:
            return now
        times = [self._deadlines.deadline, now + 0.5, *(node.deadline for node in self._nodes.values())]
        return min(when for when in times if when is not None)

    def _look_for_ends(self, now: float) -> None:
        reason = self._deadlines.reason(now)
        if reason is not None:
            self._fail(*reason)
        if self._peers and len(self._met) < self._size:
            self._await_agents(now)
        daemon = self._daemons.failure() if self._daemons is not None else None
        if daemon is not None:
            self._fail_process(daemon)

    def _record_processes(self) -> None:
        """Keep the record of processes true while they run."""
        if self._spec["plan"]["mpi"] is not None:
            self._processes.read_ranks(self._names[0] if self._target.remote_nodes else None)
        self._state.refresh()

    def _await_agents(self, now: float) -> None:
        complaint = self._target.startup_error(self._folder)
        if complaint is not None:
            self._fail(FailureKind.START, complaint)
        elif now >= (self._hello_by or now):
            missing = ", ".join(name for node, name in enumerate(self._names) if node not in self._met)
            self._fail(FailureKind.AGENT_LOST, "no agent on %s within %d s" % (missing, HELLO_TIMEOUT_S))

    @property
    def ending(self) -> bool:
        """Whether its outcome is decided."""
        return self._verdict is not None

    def cancel(self) -> None:
        """End the processes because somebody asked for it."""
        if self._verdict is None:
            self._end("Canceled", {"kind": FailureKind.CANCEL, "message": "canceled"})

    def warn(self, kind: FailureKind, message: str, signum: int, grace_s: float) -> None:
        """Tell the processes that they will be ended, and end them after the grace."""
        if self._verdict is None and self._deadlines.warn(kind, message, grace_s):
            for node in range(self._size):
                self._send(node, {"do": "warn", "signal": signum})

    def restate(self, outcome: str, kind: FailureKind, message: str) -> None:
        """Give an attempt that is over another outcome or cause, once more is known."""
        self.outcome = outcome
        self.cause = cast("Cause", dict(self.cause or {}, kind=kind, message=message))
        self._state.write(outcome, self.cause)

    def queue(self) -> None:
        """Record that the run waits for its next attempt."""
        self._state.enter("Queued", self.outcome, self.cause)

    def give_up(self, kind: FailureKind, message: str) -> None:
        """End the processes because this agent has to end."""
        self._fail(kind, message, grace_s=self._target.grace_s)

    # --- events of nodes ---------------------------------------------------------------------------

    def _on_event(self, node: int, event: Event) -> None:
        self._handlers[event["event"]](node, event)

    def _meet_lead(self, interface: Interface) -> None:
        gpus = self._target.gpus()
        known = [interface.name, interface.subnet]
        self._on_hello(0, {"event": "hello", "address": interface.address, "interface": known, "gpus": gpus})

    def _on_hello(self, node: int, event: Hello) -> None:
        if "lead" in event and "host.0" not in self._commands.values:
            self._meet_lead(interface_of(event["lead"]))
        self._met.add(node)
        self._commands.locate(node, self._names[node], event.get("gpus"))
        if "address" in event and "interface" in event:
            self._find(node, event["address"], event["interface"])
        self._send(node, self._commands.prepare(node, self._target.ports))

    def _find(self, node: int, address: str, interface: list[str]) -> None:
        self._commands.reach(node, address, interface)
        self._state.locate(node, address)

    def _on_ports(self, node: int, event: Ports) -> None:
        place = event.get("place")
        if place is not None:
            self._find(node, place["address"], [place["interface"], place["subnet"]])
        for name, port in event["ports"].items():
            self._commands.values["port." + name] = str(port)
        self._ready.add(node)
        if len(self._ready) == self._size and self._verdict is None:
            self._queue = self._commands.processes()
            self._start_next()

    def _on_beat(self, node: int, event: Beat) -> None:
        """Nothing to do: the channel has taken note that the node lives."""

    def _on_listening(self, node: int, event: Listening) -> None:
        del node, event
        self._awaited = None
        self._start_next()

    def _on_started(self, node: int, event: Started) -> None:
        del node
        self._processes.started(event["name"], event["pid"])

    def _on_refused(self, node: int, event: Refused) -> None:
        self._processes.refused(event["name"])
        who = self._processes.get(event["name"])
        kind = FailureKind(event.get("kind", FailureKind.START))
        self._fail(kind, event["message"], who, node=self._names[node])

    def _on_broken(self, node: int, event: Broken) -> None:
        self._fail(FailureKind(event["kind"]), event["message"], node=self._names[node])

    def _on_exited(self, node: int, event: Exited) -> None:
        del node
        name, who = event["name"], self._processes.exited(event)
        if name.startswith("daemon-") and self._daemons is not None:
            self._daemons.exited(who)
        elif self._verdict is not None:
            return
        elif name == environment_build.NAME:
            self._prepared(who)
        elif event["exit_code"] != 0 or name == self._awaited or event["reason"]:
            self._fail_process(who, event["grace_s"] or GRACE_S)
        elif self._over():
            # Slurm's SIGTERM reaches processes and agent at once: who handles it may end before this knows.
            if os.path.exists(os.path.join(self._run, "cancel.json")):
                self.cancel()
            self._end("Completed", None)

    def _on_lost(self, node: int, event: Lost) -> None:
        name = self._names[node]
        self._processes.lost(name)  # its guard ends what ran there
        complaint = self._target.startup_error(self._folder) if node not in self._met else None
        if complaint is not None:
            self._fail(FailureKind.START, complaint)
        self._fail(FailureKind.AGENT_LOST, "lost the agent of %s: %s" % (name, event["message"]), node=name)

    def _start_daemon(self, host: str, command: str, request: str) -> None:
        if host not in self._names:
            self._fail(
                FailureKind.START, "mpirun asked for %r, which is none of %s" % (host, ", ".join(self._names))
            )
        else:
            node = self._names.index(host)
            assert self._daemons is not None  # noqa: S101  # it asked
            who = new_record("mpirun's daemon", host, self._processes["mpirun-0"]["log"])
            name = self._daemons.add(who, request)
            self._processes.add(name, who)
            process = self._commands.daemon(node, name)
            self._send(node, {"do": "daemon", "process": process, "command": command})

    # --- start and end -----------------------------------------------------------------------------

    def _send(self, node: int, message: Message) -> None:
        if node in self._nodes:
            self._nodes[node].handle(message)
        elif self._peers is not None:
            self._peers.send(node, message)

    def _start_next(self) -> None:
        """Start the processes up to the next one that the rest has to wait for, for a while at a time.

        What remains `tick` starts, so that a cancel, the end of the time or a failure comes in between.
        """
        until = time.monotonic() + START_FOR_S
        while self._queue and self._verdict is None:
            if time.monotonic() >= until:
                return
            node, process, port = self._queue.pop(0)
            self._processes.sent(process["name"])
            self._send(node, {"do": "start", "processes": [process]})
            if port is not None:
                self._awaited = process["name"]
                self._send(node, {"do": "await", "port": int(self._commands.values["port." + port])})
                return
        if self._verdict is None:
            self._state.enter("Running")

    def _over(self) -> bool:
        """Tell whether the roles that the run ends with have all ended well."""
        return not self._queue and self._processes.over(self._spec["plan"]["ends_with"])

    def _fail_process(self, who: ProcessRecord, grace_s: float = GRACE_S) -> None:
        if self._deadlines.warned is not None:  # it was asked to end
            self._fail(*self._deadlines.warned, who)
            return
        for number, node in self._nodes.items():  # whatever that process was, the kernel may have begun it
            if node.starved():
                self._processes.starved(self._names[number])
        self._fail(*self._processes.blame(who), grace_s=grace_s)

    def _fail(
        self,
        kind: FailureKind,
        message: str,
        who: ProcessRecord | None = None,
        grace_s: float = GRACE_S,
        node: str | None = None,
    ) -> None:
        """End the attempt as Failed.

        Args:
            kind: of the failure.
            message: in words.
            who: the process that failed, if one did.
            grace_s: for the others.
            node: where it failed, if that is no process's fault.
        """
        lines = failure.last_lines(self._run, self._folder, who)
        full = disk_reserve.complaint(self._run, lines)
        message = "%s; %s" % (message, full) if full else message
        self._end("Failed", failure.cause(kind, message, lines, who, node), grace_s)

    def _end(self, verdict: str, cause: Cause | None, grace_s: float = GRACE_S) -> None:
        """Decide the outcome and end what still runs."""
        if self._verdict is not None:
            return
        self._verdict = verdict
        self._stuck_at = time.monotonic() + grace_s + END_WITHIN_S
        self.cause = cause
        if cause is not None:
            cause["phase"] = self._state.phase
        self._queue = []
        for node in range(self._size):
            self._send(node, {"do": "end", "grace": grace_s})
        self._finish_if_over()

    def _finish_if_over(self) -> None:
        if self._verdict is None or self._processes.any_alive or self.outcome is not None:
            return
        mine = list(self._nodes.values())
        if not all(node.idle for node in mine):
            return
        left = [node.leave() for node in mine]  # all at once
        if not all(left):
            return
        if self._peers is not None:
            self._peers.close()
            if not self._peers.gone:
                return
        self._close()

    def _close(self) -> None:
        if self._spec["plan"]["mpi"] is not None:
            self._processes.failed_rank()
        self._state.enter("Finalizing")
        marks = [self._commands.node_mark(node) for node in range(self._size)]
        for node in self._nodes.values():
            node.close(marks)
        if self._daemons is not None:
            self._daemons.close()
        kind = (self.cause or {}).get("kind")
        if kind != FailureKind.SOURCE and self._processes.records:
            self._source.warn(self._log(0))
        if kind != FailureKind.OUT_OF_MEMORY and self._processes.records:
            for number, node in self._nodes.items():
                if node.survived():
                    process_logs.add(self._log(number), _SURVIVED % self._names[number])
        self._tidy()
        self.outcome = self._verdict
        self._state.write(self.outcome, self.cause)

    def _log(self, node: int) -> str:
        """Return the log of the first process of a node."""
        records = self._processes.records
        who = next((who for who in records if who["node"] == self._names[node]), records[0])
        return process_logs.find(self._run, self._folder, who["log"])

    def _tidy(self) -> None:
        """Remove what only this attempt needed."""
        with contextlib.suppress(OSError):  # the run may be deleted
            for entry in os.listdir(self._folder):
                path = os.path.join(self._folder, entry)
                said = self._verdict != "Completed" and os.path.getsize(path)
                if entry.startswith(("rank-", "request-")) or (entry.startswith("node-") and not said):
                    atomic_json.remove(path)
        with contextlib.suppress(OSError):  # the work folder may be what failed
            work = os.path.join(self._run, "work", str(self.number))
            links.remove(work, self._commands.links())
            workdir.tidy(work, self._spec.get("cwd") or "", keep_paths=self._verdict != "Completed")
        process_logs.settle(self._run, self.number)
