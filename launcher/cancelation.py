"""A cancel that comes while the launch itself still works on a run: `runs cancel` from another shell."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from types import FrameType

    from launcher.paths import RunFolder

LOOK_EVERY_S = 0.5


class CancelRequested(KeyboardInterrupt):  # no error, as KeyboardInterrupt is none
    """Nobody wants what is being prepared; what Ctrl-C cleans up is cleaned up."""


@contextmanager
def cancelable(runs: Sequence[RunFolder]) -> Generator[None]:
    """Look for the cancel of all of these runs meanwhile, by a timer: a thread could not interrupt this one.

    Raises:
        CancelRequested: all of them are canceled.
    """
    if threading.current_thread() is not threading.main_thread():  # of a program that launches; no signals
        yield
        return

    def look(_number: int, _frame: FrameType | None) -> None:
        if all(run.cancel.exists() or run.end.exists() for run in runs):
            signal.setitimer(signal.ITIMER_REAL, 0)
            raise CancelRequested

    before = signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, LOOK_EVERY_S, LOOK_EVERY_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
