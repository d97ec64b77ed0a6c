"""One thread that waits for dead children, channels and times at once."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Loop:
    """A selector whose callbacks take no arguments, woken by signals."""

    def __init__(self) -> None:
        self.selector = selectors.DefaultSelector()
        self.asked_to_end = False
        self.warnings = 0
        """How many, by SIGUSR2: the time is nearly up, or somebody else wants the place."""
        self._wake, sender = socket.socketpair()
        for end in (self._wake, sender):
            end.setblocking(False)
        self._sender = sender
        signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(signum, self._ask)
        signal.signal(signal.SIGUSR2, self._warn)
        self.selector.register(self._wake, selectors.EVENT_READ, self._drain)

    def wait(self, until: float) -> None:
        """Wait for something to happen, at most until `until` (monotonic seconds), and do it."""
        for key, _ in self.selector.select(max(0.0, until - time.monotonic())):
            if key.fd in self.selector.get_map():  # an earlier callback may have closed it
                key.data()

    def close(self) -> None:
        """Give back what signals and selector hold."""
        signal.set_wakeup_fd(-1)
        self.selector.close()
        self._wake.close()
        self._sender.close()

    @staticmethod
    def reap(take: Callable[[int, int], object]) -> None:
        """Pass pid and status of every dead child, adopted ones included, to `take`."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            take(pid, status)

    def _ask(self, number: int, frame: object) -> None:
        del number, frame
        self.asked_to_end = True

    def _warn(self, number: int, frame: object) -> None:
        del number, frame
        self.warnings += 1

    def _drain(self) -> None:
        try:
            self._wake.recv(4096)
        except BlockingIOError:
            return
