"""This machine with its nodes in containers: all served by one process, through one way to the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..containers import engine_client
from .local import LocalTarget

if TYPE_CHECKING:
    import selectors

    from ..base.network import Interface
    from ..base.record_types import EngineConfig


class DockerTarget(LocalTarget):
    """See `LocalTarget`; where a node is, its container tells once it runs."""

    together = True

    def __init__(self, config: EngineConfig) -> None:
        self._config = config

    def open(self, selector: selectors.BaseSelector) -> None:
        """See `LocalTarget.open`."""
        self.engine = engine_client.Engine(self._config, selector)

    def close(self) -> None:
        """See `LocalTarget.close`."""
        if self.engine is not None:
            self.engine.close()

    def names(self, size: int) -> list[str]:
        """See `LocalTarget.names`."""
        return ["node%d" % node for node in range(size)]

    def lead(self, size: int) -> Interface | None:
        """See `LocalTarget.lead`."""
        del size
        return None

    def lost(self) -> None:
        """See `LocalTarget.lost`."""
        engine_client.clean(self._config)
