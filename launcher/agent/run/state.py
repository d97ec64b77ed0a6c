"""The record that an attempt keeps of itself: phases, nodes, processes, outcome."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..base import atomic_json, disk_reserve, process_identity

if TYPE_CHECKING:
    from ..base.record_types import Cause, ProcessRecord


class State:
    """Writes `state.json` of one attempt, whole each time."""

    def __init__(self, folder: str, number: int, names: list[str], processes: list[ProcessRecord]) -> None:
        self._folder = folder
        self._path = os.path.join(folder, "state.json")
        self._number = number
        self._nodes: list[dict[str, str | None]] = [{"name": name, "address": None} for name in names]
        self._processes = processes
        self._phases: list[tuple[str, float]] = []
        self._written = 0  # how many starts and ends the record holds

    @property
    def phase(self) -> str:
        """The newest phase."""
        return self._phases[-1][0] if self._phases else "Starting"

    def locate(self, node: int, address: str) -> None:
        """Take note of a node's address, written with the next phase."""
        self._nodes[node]["address"] = address

    def enter(self, phase: str, outcome: str | None = None, cause: Cause | None = None) -> None:
        """Write that a phase began."""
        self._phases.append((phase, atomic_json.now()))
        self.write(outcome, cause)

    def refresh(self) -> None:
        """Write the record again if processes have started or ended since; else cost nothing."""
        if self._written != self._changes():
            self.write(None, None)

    def _changes(self) -> int:
        return sum((item["started"] is not None) + (item["ended"] is not None) for item in self._processes)

    def write(self, outcome: str | None, cause: Cause | None) -> None:
        """Write the record; a disk that is full or a run that was deleted must not end other runs."""
        self._written = self._changes()
        state = {
            "schema": atomic_json.SCHEMA,
            "attempt": self._number,
            "owner": process_identity.identity(),
            "phases": self._phases,
            "nodes": self._nodes,
            "processes": self._processes,
            "outcome": outcome,
            "cause": cause,
        }
        try:
            if outcome is None:
                atomic_json.write(self._path, state)
            else:
                disk_reserve.write(self._folder, self._path, state)
        except OSError as error:
            atomic_json.complain("%s: %s" % (self._path, error))
