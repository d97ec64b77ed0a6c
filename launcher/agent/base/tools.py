"""Other programs, run for what they print."""

from __future__ import annotations

import os
import shlex
import subprocess

_TOOL_S = 20


def run_tool(
    argv: list[str], clean: bool = False, timeout_s: float = _TOOL_S, more: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run one of Slurm's programs; one that is missing or hangs ends with 1 and says so.

    Args:
        argv: program and arguments.
        clean: without what the job around was given, which would be taken for options of the next.
        timeout_s: until it is given up.
        more: variables on top.
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
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(argv, 1, "", "%s: %s" % (argv[0], error))


def output(argv: list[str]) -> str:
    """Return what one of Slurm's programs prints; nothing where it fails."""
    return run_tool(argv).stdout


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
