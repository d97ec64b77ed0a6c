"""Named inputs of a run: what they are, and how they come to this machine."""

from __future__ import annotations

from typing import Final

from launcher.data.inputs import Inputs, variable

CHOICES: Final[dict[str, type[Inputs]]] = {Inputs.kind: Inputs}
"""The option class of every choice of the group `data`."""

__all__ = ["CHOICES", "Inputs", "variable"]
