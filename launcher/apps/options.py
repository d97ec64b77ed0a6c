"""What `hydra.launcher.…` of somebody's Hydra app means for a run."""

from __future__ import annotations

import os
import re
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

import launcher.compute
import launcher.distribution
from launcher.apps.conf import LocalConf, SlurmConf
from launcher.config.overrides import Parser
from launcher.config.text import restore_overrides
from launcher.errors import ConfigError, Problem, nearest
from launcher.paths import expand_home
from launcher.secrets import misplaced, symbol
from launcher.spec import Resources

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

NAMES: Final = {
    "timeout_min": "time_limit_min",
    "cpus_per_task": "cpus_per_process",
    "tasks_per_node": "processes_per_node",
    "mem_gb": "memory_gib",
    "max_num_timeout": "retries",
    "array_parallelism": "max_parallel",
    "signal_delay_s": "grace_s",
    "cpus_per_gpu": "additional_parameters.cpus-per-gpu",
    "gpus_per_task": "additional_parameters.gpus-per-task",
    "mem_per_gpu": "additional_parameters.mem-per-gpu",
    "mem_per_cpu": "additional_parameters.mem-per-cpu",
}
"""What hydra-submitit-launcher 1.2 calls otherwise: its name, the name here. All its others are the same."""

CONFS: Final = {"local": LocalConf, "slurm": SlurmConf}
"""The types of the options, by `compute`."""

IGNORED: Final = {
    "submitit_folder": "every run has a folder in the store",
    "stderr_to_stdout": "stdout and stderr of a process are one log",
}
"""Names of hydra-submitit-launcher that mean nothing here, and why."""

RUN: Final = ("name", "retries", "env", "tags", "links", "snapshot_limit_mib")
"""Options that are fields of a run's spec."""


def options_of(config: DictConfig) -> dict[str, Any]:
    """Return the options of a job that have a value, under the names they have here.

    Raises:
        ConfigError: an option is given under both of its names, or cannot be resolved.
    """
    try:
        given: Any = OmegaConf.to_container(config.hydra.launcher, resolve=True)
        given.pop("_target_", None)
        typed: Any = OmegaConf.merge(OmegaConf.structured(CONFS.get(given["compute"], LocalConf)), given)
        values: Any = OmegaConf.to_container(_with_spelling(typed, config))
    except OmegaConfBaseException as error:
        key = f"hydra.launcher.{error.full_key}" if error.full_key else "hydra.launcher"
        raise ConfigError([f"{key}: {str(error).splitlines()[0]}"]) from error
    options = {str(key): value for key, value in values.items() if value is not None and key not in IGNORED}
    wrong: list[Problem] = []
    for theirs, ours in NAMES.items():
        if theirs not in options:
            continue
        value = options.pop(theirs)
        place, _, name = ours.rpartition(".")
        values = options.setdefault(place, {}) if place else options
        if name in values and values[name] != value:
            problem = Problem(
                f"hydra.launcher.{theirs}", value, f"one of {theirs} and {ours}; both are given"
            )
            wrong.append(problem)
        values[name] = value
    wrong += misplaced(options, "hydra.launcher.")
    options["env"] = {**options.get("env", {}), **_secrets(options.pop("secrets", ()), wrong)}
    if wrong:
        raise ConfigError(wrong)
    return options


def _with_spelling(typed: Any, config: DictConfig) -> Any:
    """Return the options with texts as they were typed: `hydra.launcher.env.A=1.10` is not 1.1."""
    words: Any = OmegaConf.select(config, "hydra.overrides.hydra") or ()
    given = [word for word in words if word.lstrip("+").startswith("hydra.launcher.")]
    whole = OmegaConf.create({"hydra": {"launcher": typed}})
    restore_overrides(whole, Parser().parse(given, []))
    return whole.hydra.launcher


def _secrets(names: Sequence[str], wrong: list[Problem]) -> dict[str, str]:
    """Return the variables that secrets are given to a job in.

    An app has resolvers of its own, so that `${secret:…}` can be one of them.
    """
    found: dict[str, str] = {}
    for name in names:
        try:
            found[name] = symbol(name)
        except ValueError as error:
            wrong.append(Problem("hydra.launcher.secrets", name, "names of secrets", str(error)))
    return found


def notes(config: DictConfig) -> list[str]:
    """Return what of the options means nothing here, and why."""
    given = {name: OmegaConf.select(config, f"hydra.launcher.{name}") for name in IGNORED}
    return [f"hydra.launcher.{name}: {IGNORED[name]}" for name, value in given.items() if value is not None]


def problems(found: Sequence[Problem | str]) -> list[Problem | str]:
    """Return problems of a run with the names that the options have."""
    known = {*RUN, *(field.name for field in fields(Resources))}

    def renamed(problem: Problem | str) -> Problem | str:
        if isinstance(problem, str):
            return problem
        name = problem.key.removeprefix("compute.")
        ours = name != problem.key or re.split(r"[.\[]", name)[0] in known
        return problem._replace(key=f"hydra.launcher.{name}") if ours else problem

    return [renamed(problem) for problem in found]


def resources(options: Mapping[str, Any]) -> Resources:
    """Return what a job may use."""
    known = {field.name for field in fields(Resources)}
    return Resources(**{key: value for key, value in options.items() if key in known})


def compute(options: Mapping[str, Any]) -> Any:
    """Return where a job runs.

    Raises:
        ConfigError: an option has a value that it cannot have.
    """
    cls = _choice("compute", launcher.compute.CHOICES, options["compute"])
    names = {field.name for field in fields(cls)}
    values = {key: value for key, value in options.items() if key in names}
    try:
        return OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(cls), values))
    except OmegaConfBaseException as error:
        raise ConfigError([f"hydra.launcher: {str(error).splitlines()[0]}"]) from error


def distribution(options: Mapping[str, Any]) -> Any:
    """Return how a job becomes processes: one, else with torch.distributed's variables, unless told."""
    several = resources(options).world_size > 1
    name = options.get("distribution") or ("torch" if several else "single")
    return _choice("distribution", launcher.distribution.CHOICES, name)()


def run_fields(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a spec that are options as they stand."""
    found = {key: options[key] for key in RUN if key in options}
    if "links" in found:
        found["links"] = tuple(os.path.normpath(link) for link in found["links"])
    return found


def store_of(options: Mapping[str, Any], cwd: Path) -> str | None:
    """Return the store that was named, as an absolute path."""
    return str(cwd / expand_home(options["store"], "hydra.launcher.store")) if options.get("store") else None


def _choice(key: str, choices: Mapping[str, Any], name: str) -> Any:
    if name not in choices:
        problem = Problem(
            f"hydra.launcher.{key}", name, f"one of {', '.join(choices)}", nearest(name, list(choices))
        )
        raise ConfigError([problem])
    return choices[name]
