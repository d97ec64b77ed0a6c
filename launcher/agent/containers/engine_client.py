"""The way to the container engine: a process beside the supervisor that has the engine's library.

See launcher/engine/serve.py for what is asked and answered.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import time
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from ..base.secret_env import without_carriers

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..base.record_types import EngineConfig

    Hear = Callable[[dict[str, Any]], object]

CLEAN_S = 90
"""For what is left to be removed, also by an engine that is being started again."""


class Engine:
    """Asks, and passes the answers on as they come; all in the supervisor's loop."""

    def __init__(self, config: EngineConfig, selector: selectors.BaseSelector) -> None:
        """Take over the process that the launcher started, or start one.

        Args:
            config: `python`, `code` (where the launcher is imported from), `token` (of the supervisor),
                `user`, `groups` and `login` (in containers), `remapped` (whether the engine maps user
                ids to others) and `pipes` (of a helper that already runs).
            selector: of the loop.
        """
        self.token: str = config["token"]
        self.user: str = config["user"]
        self.groups: list[int] = config["groups"]
        self.login: str = config["login"]
        self.remapped: bool = config["remapped"]
        self.lost: str | None = None
        """Why the engine cannot be reached just now."""
        self._away: tuple[float, float] | None = None  # since when, and until when, as far as that is known
        self._config = config
        self._selector = selector
        self._count = 0
        self._asked: dict[int, Hear] = {}
        self._boxes: dict[str, Hear] = {}
        self._rest = b""
        self._pipes: tuple[BinaryIO, BinaryIO] | None = None
        given: list[int] = config["pipes"]
        self._use(os.fdopen(given[0], "wb"), os.fdopen(given[1], "rb")) if given else self._start()

    def ask(self, request: dict[str, Any], hear: Hear) -> None:
        """Ask for something; `hear` gets every answer."""
        self._count += 1
        self._asked[self._count] = hear
        if self._pipes is None:
            self._start()
        assert self._pipes is not None  # noqa: S101
        try:
            self._pipes[0].write(json.dumps(dict(request, id=self._count)).encode() + b"\n")
            self._pipes[0].flush()
        except OSError:
            self._gone()

    def listen(self, box: str, hear: Hear) -> None:
        """Let `hear` have what happens to a box by itself."""
        self._boxes[box] = hear

    def forget(self, box: str) -> None:
        """Listen no longer."""
        self._boxes.pop(box, None)

    def was_away(self, when: float) -> bool:
        """Return whether it was unreachable at a time (seconds since the epoch), with a tolerance of 1 s."""
        return self._away is not None and self._away[0] - 1 <= when <= self._away[1] + 1

    def close(self) -> None:
        """Let the process end, which first removes what is left."""
        if self._pipes is not None:
            self._let_go(self._pipes)
            self._pipes = None

    def _start(self) -> None:
        process = _helper(self._config, [self.token], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018
        self._use(cast("BinaryIO", process.stdin), cast("BinaryIO", process.stdout))
        process.returncode = 0  # reaped with all others

    def _use(self, stdin: BinaryIO, stdout: BinaryIO) -> None:
        self._pipes = stdin, stdout
        for pipe in self._pipes:
            os.set_inheritable(pipe.fileno(), False)
        self._selector.register(stdout, selectors.EVENT_READ, self._read)

    def _read(self) -> None:
        assert self._pipes is not None  # noqa: S101
        data = os.read(self._pipes[1].fileno(), 1 << 20)  # the selector says that there is something
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
            if event == "lost":
                self._away = time.time(), float("inf")
            elif self._away is not None:
                self._away = self._away[0], time.time()
        else:
            hear = self._boxes.get(message["box"])
            if hear is not None:
                hear(message)

    def _gone(self) -> None:
        """Tell those who wait that no answer will come; the next question starts the process anew."""
        pipes, self._pipes = self._pipes, None
        if pipes is None:
            return
        self._let_go(pipes)
        asked, self._asked, self._rest = self._asked, {}, b""
        why = self.lost or "the launcher's process that talks to it has ended"
        for hear in asked.values():
            hear({"error": why, "lost": True})

    def _let_go(self, pipes: tuple[BinaryIO, BinaryIO]) -> None:
        self._selector.unregister(pipes[1])
        for pipe in pipes:
            with contextlib.suppress(OSError):  # what was left to be written
                pipe.close()


def clean(config: EngineConfig) -> None:
    """Remove all that was made under a supervisor's token; the last act of its guard."""
    try:
        _helper(config, ["clean", config["token"]]).wait(CLEAN_S)
    except (OSError, subprocess.TimeoutExpired):
        return  # the next launch, or `launcher compute clean`, finds it by its labels


def _helper(
    config: EngineConfig, words: list[str], stdin: int = subprocess.DEVNULL, stdout: int | None = None
) -> subprocess.Popen[bytes]:
    """Start the process; in a session of its own, for it outlives a supervisor that is killed."""
    env = dict(without_carriers(os.environ), PYTHONPATH=config["code"], PYTHONDONTWRITEBYTECODE="1")
    argv = [config["python"], "-m", "launcher.engine.serve", *words]
    return subprocess.Popen(argv, env=env, cwd="/", start_new_session=True, stdin=stdin, stdout=stdout)
