"""The script of a Slurm job, rendered and sent by submitit."""

from __future__ import annotations

import math
import os
import shlex
import time
from pathlib import PurePath
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from launcher.agent.base.tools import failure, run_tool
from launcher.errors import SubmitError

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from launcher.compute.slurm import Slurm

TRIES_S = (1.0, 4.0, 10.0, 20.0)
"""Pauses between tries where the controller does not answer."""

TOOL_S = 60
"""Slurm's programs give up by themselves after MessageTimeout, some tries later."""

_BUSY = (
    "Unable to contact slurm controller",
    "Socket timed out",
    "Connection refused",
    "Resource temporarily",
)
"""What sbatch says when to try again may help; anything else is a refusal."""

LOST_STORE, LOST_PYTHON, FAILED_SETUP = 71, 72, 73
"""Exit codes of the script if a node cannot run the agent."""

STORE_PATIENCE_S = 20
"""A node may have cached that a new folder of a shared file system is not there."""

SETUP = "compute.setup: "
"""How the line of the job's log begins that names the setup line which failed."""

_FREE = "unset SLURM_EXPORT_ENV\n"
"""sbatch leaves its own `--export` to every srun in the job, which would start programs without variables."""

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
# what follows: Slurm kills what is left of a job as soon as its script has ended.
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


class Script:
    """What is asked of Slurm for the runs of one job."""

    def __init__(self, options: Slurm, spec: Mapping[str, Any], folder: Path, members: int | None) -> None:
        self.folder = folder
        self._options = options
        self._spec = spec
        self._members = members

    def parameters(self) -> dict[str, Any]:
        """Return the options of sbatch as submitit takes them."""
        options, resources = self._options, self._spec["resources"]
        tasks = resources["processes_per_node"]
        parameters: dict[str, Any] = {
            name: value
            for name in ("partition", "account", "qos", "constraint", "nodelist", "exclude", "dependency",
                         "comment", "mail_type", "mail_user", "gres")
            if (value := getattr(options, name)) is not None
        }  # fmt: skip
        parameters |= {
            "job_name": self._name(),
            "nodes": resources["nodes"],
            "wckey": None,
            "use_srun": False,
        }
        parameters |= {"ntasks_per_node": max(tasks, self._tasks()), "stderr_to_stdout": True}
        limit = resources["time_limit_min"]
        parameters["time"] = math.ceil(limit) if limit else None  # else the partition's
        if resources["cpus_per_process"]:
            parameters["cpus_per_task"] = resources["cpus_per_process"]
        if resources["memory_gib"]:
            parameters["mem"] = f"{math.ceil(resources['memory_gib'] * 1024)}M"
        if options.exclusive:
            parameters["exclusive"] = True
        if resources["gpus_per_node"] and not options.gres:
            kind = f"{options.gpu_type}:" if options.gpu_type else ""
            parameters["gpus_per_node"] = f"{kind}{resources['gpus_per_node']}"
        if self._members is not None:
            parameters["map_count"] = self._members
            parameters["array_parallelism"] = options.max_parallel or self._members
        further = self._additional()
        return _literal(parameters) | {"additional_parameters": _literal(further)}

    def _additional(self) -> dict[str, Any]:
        options = self._options
        further: dict[str, Any] = {
            "chdir": self.folder,  # also how the job is found again
            "output": str(self.folder).replace("%", "%%")
            + ("/slurm.log" if self._members is None else "/slurm-%a.log"),
            "signal": f"B:USR2@{options.grace_s + 5}",
            "export": options.export,
            "requeue" if self._spec["retries"] else "no-requeue": True,
        }
        if options.reservation:
            further["reservation"] = options.reservation
        further |= {key.replace("_", "-"): value for key, value in options.additional_parameters.items()}
        return {key: value for key, value in further.items() if value is not None and value is not False}

    def command(self, agent: Path, pythons: Sequence[str], command: str) -> str:
        """Return the shell lines of the job."""
        options = self._options
        listed = " ".join(shlex.quote(python) for python in pythons)
        head = _AGENT.format(
            agent=shlex.quote(str(agent)),
            pythons=listed,
            patience=STORE_PATIENCE_S,
            lost_store=LOST_STORE,
            lost_python=LOST_PYTHON,
        )
        after = "".join(f"{line}\n" for line in options.teardown)
        return f"{_FREE}{self._setup()}{head}{_SERVE.format(command=command)}{after}exit $code"

    def _setup(self) -> str:
        """Return the lines of `compute.setup`, each followed by a check of its exit code."""
        lines = self._options.setup
        if not lines:
            return ""
        text = _CHECK.format(setup=SETUP, failed_setup=FAILED_SETUP)
        for line in lines:
            text += f"{line}\n"
            if not line.rstrip().endswith(("\\", "&&", "|")):  # else the next line belongs to it
                text += f"check_setup {shlex.quote(line)}\n"
        return text

    def text(self, lines: str) -> str:
        """Return the file that sbatch gets, as submitit renders it."""
        from submitit.slurm import slurm  # noqa: PLC0415  # 130 ms, and not all have it

        parameters = self.parameters()
        # Private there, so that pyproject.toml pins submitit and a contract test looks at what it makes.
        make: Any = slurm._make_sbatch_string  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        rendered: str = make(command=lines, folder=self.folder, **parameters)
        first = "#!/bin/bash -l" if self._options.login_shell else "#!/bin/bash"  # -l: `module` exists
        return rendered.replace("#!/bin/bash", first, 1).replace("export SUBMITIT_EXECUTOR=slurm\n", "", 1)

    def _name(self) -> str:
        if self._members is not None:
            return str(self._spec["name"])
        return str(self._spec["id"]).replace("/", "-")

    def _tasks(self) -> int:
        """Return how many processes the fullest node has, servers and chiefs included."""
        counts: dict[int, int] = {}
        for process in self._spec["plan"]["processes"]:
            counts[process["node"]] = counts.get(process["node"], 0) + 1
        return max(counts.values(), default=1)


def _literal(options: dict[str, Any]) -> dict[str, Any]:
    """Return options whose backslashes survive sbatch, which eats them between quotes of any kind."""
    return {
        key: str(value).replace("\\", "\\\\") if isinstance(value, (str, PurePath)) else value
        for key, value in options.items()
    }


def send(script: Script, lines: str, carriers: Mapping[str, str] = MappingProxyType({})) -> str:
    """Submit it through sbatch; return the job's id. The file stays, for requeues that are refused.

    Args:
        script: what is asked for.
        lines: of shell, that run.
        carriers: variables of the job with the secrets of its runs.

    Raises:
        SubmitError: Slurm refused, in its words, or did not answer for long.
    """
    from submitit import SlurmExecutor  # noqa: PLC0415  # 130 ms that only a submission needs

    path = script.folder / "job.sh"
    path.write_bytes(os.fsencode(script.text(lines)))
    path.chmod(0o700)
    for pause in (*TRIES_S, None):
        done = tool(["sbatch", str(path)], carriers)
        if done.returncode == 0:
            read: Any = SlurmExecutor._get_job_id_from_submission_command  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
            return str(read(done.stdout))
        words = _words(done.stderr) or failure(done)
        if pause is None or not any(word in words for word in _BUSY):
            raise SubmitError(f"sbatch: {words}")
        time.sleep(pause)
    raise AssertionError


def tool(
    argv: Sequence[str], more: Mapping[str, str] = MappingProxyType({})
) -> subprocess.CompletedProcess[str]:
    """Run one of Slurm's programs, without what this shell's own job was given, with `more` variables."""
    whole = {"SLURM_BITSTR_LEN": "0"}  # lists of an array's members are cut at 64 characters otherwise
    return run_tool(list(argv), clean=True, timeout_s=TOOL_S, more={**whole, **more})


def _words(text: str) -> str:
    said = [line.removeprefix("sbatch: error: ") for line in text.splitlines() if line.startswith("sbatch: ")]
    return "; ".join(said) or text.strip()
