"""The way to the container engine: a process beside the supervisor that has the engine's library.

See launcher/engine/serve.py for what is asked and answered.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
from typing import TYPE_CHECKING, Any

from .carried import without_carriers

if TYPE_CHECKING:
    from collections.abc import Callable

    Hear = Callable[[dict[str, Any]], object]

CLEAN_S = 90
"""For what is left to be removed, also by an engine that is being started again."""


class Engine:
    """Asks, and passes the answers on as they come; all in the supervisor's loop."""

    def __init__(self, orders: dict[str, Any], selector: selectors.BaseSelector) -> None:
        """Start the process.

        Args:
            orders: `python`, `code` (where the launcher is imported from), `token` (of the supervisor),
                `user` (in containers) and `remapped` (whether the engine gives users other numbers).
            selector: of the loop.
        """
        self.token: str = orders["token"]
        self.user: str = orders["user"]
        self.remapped: bool = orders["remapped"]
        self.lost: str | None = None
        """Why the engine cannot be reached just now."""
        self._orders = orders
        self._selector = selector
        self._count = 0
        self._asked: dict[int, Hear] = {}
        self._boxes: dict[str, Hear] = {}
        self._rest = b""
        self._process: subprocess.Popen[bytes] | None = None
        self._start()

    def ask(self, request: dict[str, Any], hear: Hear) -> None:
        """Ask for something; `hear` gets every answer."""
        self._count += 1
        self._asked[self._count] = hear
        if self._process is None:
            self._start()
        assert self._process is not None and self._process.stdin is not None  # noqa: S101, PT018
        try:
            self._process.stdin.write(json.dumps(dict(request, id=self._count)).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            self._gone()

    def listen(self, box: str, hear: Hear) -> None:
        """Let `hear` have what happens to a box by itself."""
        self._boxes[box] = hear

    def forget(self, box: str) -> None:
        """Listen no longer."""
        self._boxes.pop(box, None)

    def close(self) -> None:
        """Let the process end, which first removes what is left."""
        if self._process is not None:
            self._let_go(self._process)
            self._process.wait()
            self._process = None

    def _start(self) -> None:
        self._process = _helper(self._orders, [self.token], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdout is not None  # noqa: S101
        os.set_blocking(self._process.stdout.fileno(), False)
        self._selector.register(self._process.stdout, selectors.EVENT_READ, self._read)

    def _read(self) -> None:
        assert self._process is not None and self._process.stdout is not None  # noqa: S101, PT018
        data = self._process.stdout.read(1 << 20)
        if data is None:
            return
        if not data:
            self._gone()
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._take(json.loads(line))

    def _take(self, message: dict[str, Any]) -> None:
        event = message.get("event")
        if event is None:
            hear = self._asked.get(message["id"])
            if hear is not None:
                hear(message)
            if "begun" not in message:
                self._asked.pop(message["id"], None)
        elif event in ("lost", "back"):
            self.lost = message.get("message")
        else:
            hear = self._boxes.get(message["box"])
            if hear is not None:
                hear(message)

    def _gone(self) -> None:
        """Tell those who wait that no answer will come; the next question starts the process anew."""
        process, self._process = self._process, None
        if process is None:
            return
        self._let_go(process)
        asked, self._asked, self._rest = self._asked, {}, b""
        for hear in asked.values():
            hear({"error": "the process that speaks to it has ended", "lost": True})

    def _let_go(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018
        self._selector.unregister(process.stdout)
        process.stdout.close()
        with contextlib.suppress(OSError):  # what was left to be written
            process.stdin.close()


def clean(orders: dict[str, Any]) -> None:
    """Remove all that was made under a supervisor's token; the last act of its guard."""
    try:
        _helper(orders, ["clean", orders["token"]]).wait(CLEAN_S)
    except (OSError, subprocess.TimeoutExpired):
        return  # the next launch, or `launcher compute clean`, finds it by its labels


def _helper(
    orders: dict[str, Any], words: list[str], stdin: int = subprocess.DEVNULL, stdout: int | None = None
) -> subprocess.Popen[bytes]:
    """Start the process; in a session of its own, for it outlives a supervisor that is killed."""
    env = dict(without_carriers(os.environ), PYTHONPATH=orders["code"], PYTHONDONTWRITEBYTECODE="1")
    argv = [orders["python"], "-m", "launcher.engine.serve", *words]
    return subprocess.Popen(argv, env=env, cwd="/", start_new_session=True, stdin=stdin, stdout=stdout)
