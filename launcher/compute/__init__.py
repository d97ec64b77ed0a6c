"""Where runs run: one target a file, with its options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from launcher.compute.docker import Docker
from launcher.compute.local import Local
from launcher.compute.slurm.target import Slurm

if TYPE_CHECKING:
    from launcher.spec import Compute

CHOICES: Final[dict[str, type[Compute]]] = {choice.kind: choice for choice in (Local, Docker, Slurm)}
"""Every choice of the group `compute`."""
