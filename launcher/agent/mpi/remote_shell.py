"""mpirun's way to the other nodes: its requests, and the daemons that it asks for."""

from __future__ import annotations

import contextlib
import os
import selectors
import time
from typing import TYPE_CHECKING

from ..base import atomic_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..base.record_types import ProcessRecord

    Request = Callable[[str, str, str], None]

PATIENCE_S = 5.0
"""For mpirun to end by itself when one of its daemons did, and to tell which rank it was."""


class Daemons:
    """The daemons of one mpirun, by the names of their requests."""

    def __init__(self, folder: str, selector: selectors.BaseSelector, on_request: Request) -> None:
        self._remote_shell = RemoteShell(folder, selector, on_request)
        self._count = 0
        self._failed: tuple[float, ProcessRecord] | None = None

    def add(self, who: ProcessRecord, request: str) -> str:
        """Return the name of one more.

        Args:
            who: its record.
            request: the name of what asked for it.
        """
        self._count += 1
        who["request"] = request
        return "daemon-%d" % self._count

    def exited(self, who: ProcessRecord) -> None:
        """Record the end of one, and answer the remote shell that waits for it."""
        if who["exit_code"] is not None and who["exit_code"] > 128:  # noqa: PLR2004  # as the shell around it tells
            who.update(exit_code=None, signal=who["exit_code"] - 128)
        code = who["exit_code"]
        self._remote_shell.answer(
            who.get("request", ""), code if code is not None else 128 + (who["signal"] or 0)
        )
        if code != 0 and self._failed is None:
            self._failed = time.monotonic() + PATIENCE_S, who

    def failure(self) -> ProcessRecord | None:
        """Return the daemon whose failure mpirun did not end by."""
        return self._failed[1] if self._failed and time.monotonic() >= self._failed[0] else None

    def close(self) -> None:
        """Take no more requests."""
        self._remote_shell.close()


class RemoteShell:
    """Where mpirun's remote shell leaves its requests (remote_shell.sh)."""

    def __init__(self, folder: str, selector: selectors.BaseSelector, on_request: Request) -> None:
        self._folder = folder
        self._selector = selector
        self._on_request = on_request
        self._bell = os.path.join(folder, "requests.fifo")
        atomic_json.remove(self._bell)
        os.mkfifo(self._bell, 0o600)
        # Read and write: the pipe never ends, and no writer waits for a reader.
        self._fd = os.open(self._bell, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._rest = b""
        selector.register(self._fd, selectors.EVENT_READ, self._ring)

    def close(self) -> None:
        """Remove the FIFO."""
        self._selector.unregister(self._fd)
        os.close(self._fd)
        atomic_json.remove(self._bell)

    def answer(self, name: str, code: int) -> None:
        """Tell a remote shell that waits how the daemon ended that it asked for."""
        with contextlib.suppress(OSError):  # it does not wait, or no longer
            fd = os.open(os.path.join(self._folder, name + ".end"), os.O_WRONLY | os.O_NONBLOCK)
            os.write(fd, b"%d\n" % code)
            os.close(fd)

    def _ring(self) -> None:
        try:
            self._rest += os.read(self._fd, 1 << 16)
        except BlockingIOError:
            return
        *names, self._rest = self._rest.split(b"\n")
        for name in names:
            if not name.startswith(b"request-") or b"/" in name:
                continue  # not a remote shell's
            path = os.path.join(self._folder, os.fsdecode(name))
            try:
                with open(path, encoding="utf-8", errors="surrogateescape") as file:
                    host, _, command = file.read().partition("\n")
            except OSError:
                continue
            atomic_json.remove(path)
            self._on_request(host, command.rstrip("\n"), os.fsdecode(name))
