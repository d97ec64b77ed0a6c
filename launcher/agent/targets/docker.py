"""This machine with its nodes in containers: all served by one process, through one way to the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..containers import engine_client
from .local import LocalTarget

if TYPE_CHECKING:
    import selectors

    from ..base.network import Interface


class DockerTarget(LocalTarget):
    """See `Here`; where a node is, its container tells once it runs."""

    together = True

    def __init__(self, orders: dict[str, Any]) -> None:
        self._orders = orders

    def open(self, selector: selectors.BaseSelector) -> None:
        """See `Here.open`."""
        self.engine = engine_client.Engine(self._orders, selector)

    def close(self) -> None:
        """See `Here.close`."""
        if self.engine is not None:
            self.engine.close()

    def names(self, size: int) -> list[str]:
        """See `Here.names`."""
        return ["node%d" % node for node in range(size)]

    def lead(self, size: int) -> Interface | None:
        """See `Here.lead`."""
        del size
        return None

    def lost(self) -> None:
        """See `Here.lost`."""
        engine_client.clean(self._orders)
