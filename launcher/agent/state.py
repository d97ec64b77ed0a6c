"""The record that an attempt keeps of itself: phases, nodes, processes, outcome."""

from __future__ import annotations

import os
from typing import Any

from . import record, room


class State:
    """Writes `state.json` of one attempt, whole each time."""

    def __init__(self, folder: str, number: int, names: list[str], processes: list[dict[str, Any]]) -> None:
        self._folder = folder
        self._path = os.path.join(folder, "state.json")
        self._number = number
        self._nodes: list[dict[str, Any]] = [{"name": name, "address": None} for name in names]
        self._processes = processes
        self._phases: list[list[Any]] = []
        self._written = 0  # how many starts and ends the record holds

    @property
    def phase(self) -> str:
        """The newest phase."""
        return self._phases[-1][0] if self._phases else "Starting"

    def locate(self, node: int, address: str) -> None:
        """Take note of a node's address, written with the next phase."""
        self._nodes[node]["address"] = address

    def enter(self, phase: str, outcome: str | None = None, cause: dict[str, Any] | None = None) -> None:
        """Write that a phase began."""
        self._phases.append([phase, record.now()])
        self.write(outcome, cause)

    def refresh(self) -> None:
        """Write the record again if processes have started or ended since; else cost nothing."""
        if self._written != self._changes():
            self.write(None, None)

    def _changes(self) -> int:
        return sum((item["started"] is not None) + (item["ended"] is not None) for item in self._processes)

    def write(self, outcome: str | None, cause: dict[str, Any] | None) -> None:
        """Write the record; a disk that is full or a run that was deleted must not end other runs."""
        self._written = self._changes()
        state = {
            "schema": record.SCHEMA,
            "attempt": self._number,
            "owner": record.owner(),
            "phases": self._phases,
            "nodes": self._nodes,
            "processes": self._processes,
            "outcome": outcome,
            "cause": cause,
        }
        try:
            if outcome is None:
                record.write(self._path, state)
            else:
                room.write(self._folder, self._path, state)
        except OSError as error:
            record.complain("%s: %s" % (self._path, error))
