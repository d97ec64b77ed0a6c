"""The text of the script that sbatch gets, rendered by submitit."""

from __future__ import annotations

import math
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from launcher.compute.job_folders import log_name
from launcher.compute.start_script import start_script

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.compute.scheduler import JobRequest
    from launcher.compute.slurm.options import SlurmOptions

_FREE = "unset SLURM_EXPORT_ENV\n"
"""sbatch leaves its own `--export` to every srun in the job, which would start programs without variables."""


def render(options: SlurmOptions, request: JobRequest) -> str:
    """Return the script of a job."""
    from submitit.slurm import slurm  # noqa: PLC0415  # 130 ms, and not all have it

    lines = start_script(request, python=options.python, setup=options.setup, teardown=options.teardown)
    # Private there, so that pyproject.toml pins submitit and a contract test looks at what it makes.
    make: Any = slurm._make_sbatch_string  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    rendered: str = make(command=_FREE + lines, folder=request.folder, **parameters(options, request))
    first = "#!/bin/bash -l" if options.login_shell else "#!/bin/bash"  # -l: `module` exists
    return rendered.replace("#!/bin/bash", first, 1).replace("export SUBMITIT_EXECUTOR=slurm\n", "", 1)


def parameters(options: SlurmOptions, request: JobRequest) -> dict[str, Any]:
    """Return the options of sbatch as submitit takes them."""
    resources = request.spec["resources"]
    tasks = resources["processes_per_node"]
    found: dict[str, Any] = {
        name: value
        for name in ("partition", "account", "qos", "constraint", "nodelist", "exclude",
                     "comment", "mail_type", "mail_user", "gres")
        if (value := getattr(options, name)) is not None
    }  # fmt: skip
    dependency = [options.dependency] if options.dependency else []
    dependency += [f"afterany:{':'.join(request.after)}"] if request.after else []
    if dependency:
        found["dependency"] = ",".join(dependency)
    found |= {"job_name": _name(request), "nodes": resources["nodes"], "wckey": None, "use_srun": False}
    found |= {"ntasks_per_node": max(tasks, _tasks(request.spec)), "stderr_to_stdout": True}
    limit = resources["time_limit_min"]
    found["time"] = math.ceil(limit) if limit else None  # else the partition's
    if resources["cpus_per_process"]:
        found["cpus_per_task"] = resources["cpus_per_process"]
    if resources["memory_gib"]:
        found["mem"] = f"{math.ceil(resources['memory_gib'] * 1024)}M"
    if options.exclusive:
        found["exclusive"] = True
    if resources["gpus_per_node"] and not options.gres:
        kind = f"{options.gpu_type}:" if options.gpu_type else ""
        found["gpus_per_node"] = f"{kind}{resources['gpus_per_node']}"
    if request.members is not None:
        found["map_count"] = request.members
        found["array_parallelism"] = request.parallel or options.max_parallel or request.members
    further = _additional(options, request)
    return _literal(found) | {"additional_parameters": _literal(further)}


def _additional(options: SlurmOptions, request: JobRequest) -> dict[str, Any]:
    log = log_name(options.kind, None if request.members is None else "%a")
    further: dict[str, Any] = {
        "chdir": request.folder,  # also how the job is found again
        "output": f"{str(request.folder).replace('%', '%%')}/{log}",
        "signal": f"B:USR2@{options.grace_s + 5}",
        "export": options.export,
        "requeue" if request.spec["retries"] else "no-requeue": True,
    }
    if options.reservation:
        further["reservation"] = options.reservation
    further |= {key.replace("_", "-"): value for key, value in options.additional_parameters.items()}
    return {key: value for key, value in further.items() if value is not None and value is not False}


def _name(request: JobRequest) -> str:
    if request.members is not None:
        return str(request.spec["name"])
    return str(request.spec["id"]).replace("/", "-")


def _tasks(spec: Mapping[str, Any]) -> int:
    """Return how many processes the fullest node has, servers and chiefs included."""
    counts: dict[int, int] = {}
    for process in spec["plan"]["processes"]:
        counts[process["node"]] = counts.get(process["node"], 0) + 1
    return max(counts.values(), default=1)


def _literal(options: dict[str, Any]) -> dict[str, Any]:
    """Return options whose backslashes survive sbatch, which eats them between quotes of any kind."""
    return {
        key: str(value).replace("\\", "\\\\") if isinstance(value, (str, PurePath)) else value
        for key, value in options.items()
    }
