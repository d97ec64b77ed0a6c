"""Secrets on their way to processes: in environments alone, never in a file, a message or a command line.

Plans and messages have `@{secret.NAME}`. The values come to the agents in variables that no process inherits,
and each agent puts them in where it starts a process.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

CARRIER = "SLURM_LAUNCHER_SECRET_"
"""How the variables begin. sbatch and srun pass on all that begin with SLURM_, whatever `--export` says; to
name them there would have Slurm load the user's login environment besides (sbatch(1))."""

SECRET = re.compile(r"@\{secret\.([A-Za-z_][A-Za-z0-9_]*)\}")


def carriers(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that carry secrets."""
    return {name: value for name, value in environ.items() if name.startswith(CARRIER)}


def without_carriers(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that carry none."""
    return {name: value for name, value in environ.items() if not name.startswith(CARRIER)}


def fill_secrets(env: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of a process with its secrets.

    Args:
        env: the variables, as a message has them.
        environ: of this agent.

    Raises:
        ValueError: a secret did not come here, as where a job's script was submitted by hand.
    """

    def value(found: re.Match[str]) -> str:
        carrier = CARRIER + found.group(1)
        if carrier not in environ:
            words = "the secret %s did not come to %s. Let runs rerun start it, which reads it anew"
            raise ValueError(words % (found.group(1), os.uname().nodename))
        return environ[carrier]

    return {name: SECRET.sub(value, text) for name, text in env.items()}
