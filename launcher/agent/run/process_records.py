"""What an attempt knows of its processes: which run, how each ended, and which one is to blame."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from ..base import atomic_json
from ..base.failure_kinds import FailureKind
from . import failure

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..base.record_types import ProcessRecord
    from ..messages import Exited

_KILLED = 128 + signal.SIGKILL
"""Exit code of a shell whose program was killed."""


def new_record(role: str, node: str, log: str) -> ProcessRecord:
    """Return the record of a process of the launcher's own, before its start."""
    return {
        "role": role, "index": 0, "rank": -1, "node": node, "log": log,
        "pid": None, "started": None, "ended": None, "exit_code": None, "signal": None,
    }  # fmt: skip


class Processes:
    """The processes of one attempt by name, `role-index`.

    `records` are those of the plan, as the attempt's state has them; others, of the launcher's own, come by
    `add`.
    """

    def __init__(self, run: str, folder: str, records: list[ProcessRecord]) -> None:
        self.records = records
        self._run = run
        self._folder = folder
        self._by_name = {"%s-%d" % (item["role"], item["index"]): item for item in records}
        self._alive: set[str] = set()
        self._started: set[str] = set()
        self._reasons: dict[str, tuple[FailureKind, str]] = {}  # by name: kind, and what is behind an end
        self._starved: set[str] = set()  # nodes

    def __getitem__(self, name: str) -> ProcessRecord:
        """Return what is known of a process."""
        return self._by_name[name]

    def get(self, name: str) -> ProcessRecord | None:
        """Return what is known of a process, if there is one of that name."""
        return self._by_name.get(name)

    def add(self, name: str, who: ProcessRecord) -> None:
        """Take note of a process that is not in the plan."""
        self._by_name[name] = who

    def sent(self, name: str) -> None:
        """Take note that a process of the plan was asked for, which the run may end with (`over`)."""
        self.expect(name)
        self._started.add(name)

    def expect(self, name: str) -> None:
        """Take note that the attempt has to wait for the end of a process."""
        self._alive.add(name)

    def started(self, name: str, pid: int | None) -> None:
        """Take note of a process's start."""
        self._by_name[name].update(pid=pid, started=atomic_json.now())

    def refused(self, name: str) -> None:
        """Take note that a process could not be started."""
        self._alive.discard(name)

    def exited(self, event: Exited) -> ProcessRecord:
        """Take note of a process's end (node.py, `exited`); return what is known of it."""
        name = event["name"]
        who = self._by_name[name]
        who.update(ended=atomic_json.now(), exit_code=event["exit_code"], signal=event["signal"])
        if event["out_of_memory"]:
            self.starved(who["node"])
        if event["reason"]:
            kind, message = event["reason"]
            self._reasons[name] = FailureKind(kind), message
        self._alive.discard(name)
        return who

    def starved(self, node: str) -> None:
        """Take note that the kernel has killed processes of a node for their memory."""
        self._starved.add(node)

    def lost(self, node: str) -> None:
        """Take note that nothing more will be heard from a node."""
        self._alive -= {name for name, who in self._by_name.items() if who["node"] == node}

    def only(self, nodes: Iterable[str]) -> None:
        """Wait for no processes but those of these nodes."""
        kept = set(nodes)
        self._alive &= {name for name, who in self._by_name.items() if who["node"] in kept}

    @property
    def any_alive(self) -> bool:
        """Whether the end of one is still to come."""
        return bool(self._alive)

    def over(self, roles: list[str]) -> bool:
        """Tell whether all that were started have ended, of these roles if any are named."""
        watched = [name for name in self._started if not roles or self._by_name[name]["role"] in roles]
        return not any(name in self._alive for name in watched)

    def blame(self, who: ProcessRecord) -> tuple[FailureKind, str, ProcessRecord]:
        """Return kind, message and process of the failure that shows as the end of a process.

        Where mpirun ended by itself, that is one of its ranks.
        """
        first = who
        by_mpirun = failure.is_mpirun(who) and (who["signal"] is None or self._passes_on(who))
        if who["role"] == "mpirun" and by_mpirun:
            who = self.failed_rank() or who
        kind, message = failure.describe(who, several=len(self.records) > 1)
        if by_mpirun:
            message += failure.mpirun_words(who, self._mpirun_text())
        killed = who["signal"] == signal.SIGKILL or who["exit_code"] == _KILLED
        if who["node"] in self._starved and killed:
            return FailureKind.OUT_OF_MEMORY, "%s: the job used more memory than it was given" % message, who
        names = [name for name, one in self._by_name.items() if one is first]
        reason = next((self._reasons[name] for name in names if name in self._reasons), None)
        if reason is not None:
            kind, message = reason[0], "%s: %s" % (message, reason[1])
        elif who["node"] in self._starved:
            message += "; before, the kernel killed a process on %s for its memory" % who["node"]
        return kind, message, who

    def _passes_on(self, mpirun: ProcessRecord) -> bool:
        """Tell whether the signal that a container's shell saw is a rank's, whose exit code mpirun has."""
        ranks = [who for who in self.records if who["role"] == "worker"]
        for who in ranks:
            if who["ended"] is None:
                failure.read_rank(self._folder, who)
        return any(who["ended"] is not None and who["signal"] == mpirun["signal"] for who in ranks)

    def failed_rank(self) -> ProcessRecord | None:
        """Take note of how mpirun's ranks ended; return the one that failed first."""
        first = failure.failed_rank(self._run, self._folder, self.records, self._mpirun_text())
        self._complete_starts()
        return first

    def read_ranks(self, node: str | None) -> None:
        """Record which of mpirun's ranks have started or ended since the last call, of one node or of all.

        A file that another machine has yet to write must not be opened: it may look empty here from then on.
        """
        ranks = [who for who in self.records if who["role"] == "worker"]
        for who in ranks:
            if who["ended"] is None and node in {None, who["node"]}:
                failure.read_rank(self._folder, who)
        first = min((who["started"] for who in ranks if who["started"] is not None), default=None)
        for who in ranks:  # mpirun starts no rank before it has reached all nodes
            if who["started"] is None and node not in {None, who["node"]}:
                who["started"] = first
        self._complete_starts()

    def _complete_starts(self) -> None:
        """Give ranks that ended before they were looked at the start of their mpirun, which is close."""
        for who in self.records:
            if who["started"] is None and who["ended"] is not None:
                who["started"] = self._by_name["mpirun-0"]["started"]

    def _mpirun_text(self) -> str:
        return failure.mpirun_text(self._run, self._folder, self._by_name["mpirun-0"]["log"])
