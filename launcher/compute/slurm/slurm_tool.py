"""Slurm's programs, run for what they print."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from launcher.agent.base.tools import run_tool

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Mapping, Sequence

TOOL_S = 60
"""Slurm's programs give up by themselves after MessageTimeout, some tries later."""


def slurm_tool(
    argv: Sequence[str], variables: Mapping[str, str] = MappingProxyType({})
) -> subprocess.CompletedProcess[str]:
    """Run one of Slurm's programs with more variables, but without those of the job around this shell."""
    whole = {"SLURM_BITSTR_LEN": "0"}  # lists of an array's members are cut at 64 characters otherwise
    return run_tool(list(argv), clean=True, timeout_s=TOOL_S, more={**whole, **variables})
