"""Calls to the engine that may take long: they end when the engine is gone, and not before."""

from __future__ import annotations

import threading
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from launcher.engine.client import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

LOOK_S: Final = 5.0
"""Silence after which the engine is asked whether it still answers."""
ANSWER_S: Final = 60
"""Within which it has to."""

T = TypeVar("T")


class _End(NamedTuple):
    """The end of a call."""

    error: BaseException | None


def stream(client: Any, call: Callable[[], Iterable[T]]) -> Generator[T]:
    """Yield what a call yields, however long it works in silence, as long as the engine answers others.

    Args:
        client: that the call uses; it has no time limit meanwhile.
        call: made in a thread, which ends with the call.

    Raises:
        EngineError: the engine no longer answers.
    """
    items: SimpleQueue[T | _End] = SimpleQueue()
    stopped = threading.Event()

    def work() -> None:
        limit, client.timeout = client.timeout, None
        end = None
        try:
            for item in call():
                items.put(item)
                if stopped.is_set():
                    break
        except BaseException as error:  # noqa: BLE001  # raised again by who waits
            end = error
        finally:
            client.timeout = limit
            items.put(_End(end))

    threading.Thread(target=work, daemon=True).start()
    try:
        while True:
            try:
                item = items.get(timeout=LOOK_S)
            except Empty:
                connect(timeout_s=ANSWER_S).close()  # asks for the engine's version
                continue
            if not isinstance(item, _End):
                yield item
            elif item.error is not None:
                raise item.error
            else:
                return
    finally:
        stopped.set()


def answer(client: Any, call: Callable[[], T]) -> T:
    """Return the answer to a call, as `stream` does."""
    [found] = stream(client, lambda: [call()])
    return found
