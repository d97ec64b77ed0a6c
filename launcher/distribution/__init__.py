"""How a run becomes processes: one pure strategy a file, with its options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from launcher.distribution.horovod import Horovod
from launcher.distribution.mpi import MpiRun
from launcher.distribution.single import Single
from launcher.distribution.tensorflow import MultiWorker, ParameterServer
from launcher.distribution.torch import Torch

if TYPE_CHECKING:
    from launcher.spec import Distribution

CHOICES: Final[dict[str, type[Distribution]]] = {
    choice.kind: choice for choice in (Single, MpiRun, Horovod, ParameterServer, MultiWorker, Torch)
}
"""Every choice of the group `distribution`."""
