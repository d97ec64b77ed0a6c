"""Other programs, run for what they print."""

from __future__ import annotations

import os
import shlex
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_TOOL_S = 20
NOT_RUN = 127
"""The exit code of a program that is missing or hangs, as a shell's."""


def run_tool(
    argv: list[str],
    clean: bool = False,
    timeout_s: float | None = _TOOL_S,
    more: dict[str, str] | None = None,
    preexec: Callable[[], None] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program; `NOT_RUN` is the exit code of one that cannot start or hangs, the reason its stderr.

    Args:
        argv: program and arguments.
        clean: without Slurm's variables, which the program would take for options of the next job.
        timeout_s: after that it hangs.
        more: further variables.
        preexec: called in the new process before the program.
    """
    env = dict(os.environ)
    if clean:
        env = {name: value for name, value in env.items() if not name.startswith(("SLURM_", "SBATCH_"))}
        if "SLURM_CONF" in os.environ:
            env["SLURM_CONF"] = os.environ["SLURM_CONF"]
    env.update(more or {})
    try:
        return subprocess.run(
            argv,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
            preexec_fn=preexec,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(argv, NOT_RUN, "", "%s: %s" % (argv[0], error))


def output(argv: list[str]) -> str:
    """Return what a program prints; nothing if it cannot run."""
    return run_tool(argv).stdout


def full_output(argv: list[str], timeout_s: float, more: dict[str, str] | None = None) -> str:
    """Return what a program prints, errors last; nothing if it cannot run."""
    done = run_tool(argv, timeout_s=timeout_s, more=more)
    return "" if done.returncode == NOT_RUN else done.stdout + done.stderr


def failure(done: subprocess.CompletedProcess[str]) -> str:
    """Return why a program failed: its own words, or how it ended."""
    words = (done.stderr or done.stdout).strip()
    code = done.returncode
    return words or ("it was killed by signal %d" % -code if code < 0 else "it exited with %d" % code)


def refusal(argv: list[str]) -> str | None:
    """Run one of Slurm's programs; return why it refused, None where it did not."""
    done = run_tool(argv)
    return (
        None if done.returncode == 0 else done.stderr.strip() or "%s: %s" % (shlex.join(argv), failure(done))
    )
