"""The shell lines of a job, whatever its scheduler: setup, a Python on the node, the agent, teardown."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launcher.compute.scheduler import JobRequest

LOST_STORE, LOST_PYTHON, FAILED_SETUP = 71, 72, 73
"""Exit codes of the script if a node cannot run the agent."""

STORE_PATIENCE_S = 20
"""A node may have cached that a new folder of a shared file system does not exist."""

SETUP = "compute.setup: "
"""How the line of the job's log begins that names the setup line which failed."""

_CHECK = """\
check_setup() {{
    code=$?
    [ $code -eq 0 ] || {{ echo "{setup}$1 exited with $code" >&2; exit {failed_setup}; }}
}}
"""

_AGENT = """\
agent={agent}
tries=0
until [ -r "$agent/__main__.py" ]; do
    tries=$((tries + 1))
    [ $tries -lt {patience} ] || {{ echo "$(uname -n) does not see $agent" >&2; exit {lost_store}; }}
    sleep 1
done
for python in {pythons}; do
    command -v "$python" >/dev/null && break
    python=
done
[ -n "$python" ] || {{ echo "$(uname -n) has none of these:" {pythons} >&2; exit {lost_python}; }}
"""

# Signals reach the agent. If its guard is killed the job goes on until the agent, or a successor, has decided
# what follows: a scheduler kills what is left of a job as soon as its script has ended.
_SERVE = """\
serve() {{
    "$python" -I -S "$agent" "$@" &
    child=$!
    trap 'kill -USR2 $child' USR2
    trap 'kill -TERM $child' TERM
    while kill -0 $child 2>/dev/null; do
        wait $child
    done
    wait $child  # again, for its exit code: a signal to this shell interrupted the other
    code=$?
}}
serve {command}
[ $code -le 128 ] || serve successor {command}
"""


def start_script(
    request: JobRequest, *, python: str | None, setup: Sequence[str], teardown: Sequence[str]
) -> str:
    """Return the shell lines that start the agent of a job.

    Args:
        request: names the agent and its command.
        python: for the agent; None: the one that submits, else python3.
        setup: lines before it; one that fails ends the job.
        teardown: lines after it.
    """
    pythons = [python] if python else [sys.executable, "python3"]
    command = f"{request.command} {shlex.quote(str(request.folder))}"
    head = _AGENT.format(
        agent=shlex.quote(str(request.agent)),
        pythons=" ".join(map(shlex.quote, pythons)),
        patience=STORE_PATIENCE_S,
        lost_store=LOST_STORE,
        lost_python=LOST_PYTHON,
    )
    after = "".join(f"{line}\n" for line in teardown)
    return f"{_setup(setup)}{head}{_SERVE.format(command=command)}{after}exit $code"


def _setup(lines: Sequence[str]) -> str:
    """Return the lines of `compute.setup`, each followed by a check of its exit code."""
    if not lines:
        return ""
    text = _CHECK.format(setup=SETUP, failed_setup=FAILED_SETUP)
    for line in lines:
        text += f"{line}\n"
        if not line.rstrip().endswith(("\\", "&&", "|")):  # else the next line belongs to it
            text += f"check_setup {shlex.quote(line)}\n"
    return text
