"""Following runs from their folders until they are over; works from any shell."""

from __future__ import annotations

import signal
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from launcher.compute.jobs import cancel, first_reason, settle
from launcher.errors import NotFoundError
from launcher.spec import State
from launcher.store import records
from launcher.store.logs import QUICK_S, SLOW_S, LogReader
from launcher.store.runs import read_run

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

    from launcher.paths import RunFolder
    from launcher.store.run_state import Run
    from launcher.view import View

LIVENESS_EVERY_S = 2.0
"""How often it is checked that what runs a run is alive."""

_BLOCKS_A_POLL = 16
"""Of 1 MiB; a script that never pauses must not keep Ctrl-C from being noticed."""

SECOND_INTERRUPT_S = 2.0
"""A second Ctrl-C within this time cancels."""


class StopSignal(Exception):  # noqa: N818  # no error: the user has seen enough
    """The user or the system stopped the watching by a signal; the runs go on."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number
        """As shells count."""


class Interrupts:
    """Counts Ctrl-C and keeps a signal that ends this process, instead of raising anywhere."""

    def __init__(self) -> None:
        self.count = 0
        self.end: int | None = None
        """SIGTERM, or SIGHUP after the terminal is gone."""
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number == signal.SIGINT or signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT:
            self.count += 1
        else:
            self.end = number


class Follower:
    """One run: its phases go to the view, the output of rank 0 to standard output."""

    def __init__(self, folder: RunFolder, view: View, process: str, phases: int) -> None:
        self._folder = folder
        self._view = view
        self.process = process
        """The process whose log is shown."""
        self.told = phases
        """How many phases were shown."""
        self._attempt = 0
        self._reader = LogReader(folder.attempt_log(0, f"{process}.log"))

    def poll(self) -> bool:
        """Show what is new; return whether the run is over."""
        over = self._folder.end.exists()  # looked up first: what is read below is then complete
        phases = self._new_phases()
        before = phases.index(State.FINALIZING) if State.FINALIZING in phases else len(phases)
        self._show(phases[:before])
        left = _BLOCKS_A_POLL
        while self._output():
            left -= 1
            if not (over or left):
                return False
        self._show(phases[before:])  # all that the processes wrote before has been shown
        return over

    def close(self) -> None:
        """Close the log."""
        self._reader.close()

    def _new_phases(self) -> list[str]:
        """Return the phases of the newest attempt that were not shown yet."""
        submit = records.read(self._folder.submit) or {}
        phases = list(submit.get("phases", ()))
        while (state := records.read(self._folder.attempt_state(self._attempt))) is not None:
            if state.get("outcome") is None or not self._folder.attempt_state(self._attempt + 1).exists():
                break
            self._next_attempt()
        if state is not None:
            phases += state["phases"]
        return [name for name, _ in phases[self.told :]]

    def _show(self, phases: Sequence[str]) -> None:
        for name in phases:
            self._view.phase(self._folder.id, name, f"attempt {self._attempt}" if self._attempt else "")
        self.told += len(phases)

    def _next_attempt(self) -> None:
        while self._output():
            pass
        self._reader.close()
        self._attempt += 1
        self.told = len((records.read(self._folder.submit) or {}).get("phases", ()))
        self._reader = LogReader(self._folder.attempt_log(self._attempt, f"{self.process}.log"))

    def _output(self) -> bool:
        data = self._reader.read()
        if data:
            sys.stdout.flush()
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        return bool(data)


def wait(
    folders: Sequence[RunFolder], view: View, show: Callable[[], object], on_end: Callable[[Run], object]
) -> None:
    """Wait until all runs are over.

    Args:
        folders: the runs.
        view: where to tell what Ctrl-C does.
        show: called at every poll; where its answer is a new one, the next may soon follow.
        on_end: called once for every run that is over, not for one that was deleted.

    Raises:
        Stopped: Ctrl-C, or another signal that ends this process; the runs go on. A second Ctrl-C
            within `SECOND_INTERRUPT_S` cancels them and waits on.
    """
    left = dict.fromkeys(folders)
    pause, next_liveness = QUICK_S, time.monotonic() + LIVENESS_EVERY_S
    told, shown = "", None
    lost: set[RunFolder] = set()
    with Interrupts() as interrupts:
        canceled = False
        while left:
            looked = time.monotonic()
            before, shown = shown, show()
            over = [it for it in left if it in lost or it.end.exists() or not it.recorded]
            pause = QUICK_S if over or shown != before else pause  # where one ends, the next soon does
            for folder in over:
                del left[folder]
                try:
                    on_end(read_run(folder))
                except NotFoundError as error:  # deleted; the others go on
                    view.say(str(error))
            if not left:
                return
            if interrupts.end is not None:
                raise StopSignal(interrupts.end)
            if interrupts.count and not canceled:
                canceled = _cancel_or_stop(left, view, interrupts)
            if time.monotonic() >= next_liveness:
                next_liveness = time.monotonic() + LIVENESS_EVERY_S
                told = _tell_waiting(left, told, view)
                for folder in left:
                    with suppress(NotFoundError):
                        if read_run(folder).state.terminal:  # its owner is gone
                            lost.add(folder)  # and a full store may hold no word of it
            time.sleep(
                max(pause, 3 * (time.monotonic() - looked))
            )  # thousands of runs take a quarter of a CPU
            pause = min(SLOW_S, pause * 1.2)


def _tell_waiting(left: dict[RunFolder, None], told: str, view: View) -> str:
    """Let a scheduler end what is over, and tell what it says of the rest where that is new."""
    said = settle(left)
    if not said:
        return ""
    text = first_reason(said)
    if text != told:
        view.phase(next(iter(said)).id, "Queued", text)
    return text


def _cancel_or_stop(left: dict[RunFolder, None], view: View, interrupts: Interrupts) -> bool:
    """Give the user time for the second Ctrl-C; return whether it came."""
    view.say(f"\nStopped watching; Ctrl-C again within {SECOND_INTERRUPT_S:.0f} s cancels.")
    until = time.monotonic() + SECOND_INTERRUPT_S
    while time.monotonic() < until and interrupts.count < 2 and interrupts.end is None:  # noqa: PLR2004
        time.sleep(0.05)
    if interrupts.count < 2:  # noqa: PLR2004
        raise StopSignal(interrupts.end or signal.SIGINT)
    view.say("Canceling…")
    problem = cancel(left)
    if problem:
        view.say(problem)
    return True
