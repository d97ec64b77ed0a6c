"""From a composed configuration to a frozen request; every problem of the way is told at once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from omegaconf import DictConfig, OmegaConf

from launcher.config.arguments import argv
from launcher.config.schema import GROUPS
from launcher.errors import ConfigError, Problem
from launcher.project import Project, find_store
from launcher.spec import LaunchRequest, Resources, RunSpec

if TYPE_CHECKING:
    from collections.abc import Sequence


def resolve(config: DictConfig, overrides: Sequence[str], project: Project, cwd: Path) -> LaunchRequest:
    """Return what a configuration asks for.

    Raises:
        ConfigError: with everything that has no value or no meaning.
    """
    values: dict[str, Any] = OmegaConf.to_container(config, resolve=True, enum_to_str=True)  # pyright: ignore[reportAssignmentType]  # a mapping at the top
    problems: list[Problem] = []
    options = {group: OmegaConf.to_object(config[group]) for group in GROUPS}
    arguments = argv(values["args"], problems)
    if problems:
        raise ConfigError(problems)
    base = project.root or cwd
    spec = RunSpec(
        name=values["name"],
        source=Path(os.path.normpath(base / Path(values["source"]).expanduser())),
        script=values["script"],
        command=tuple(values["command"]),
        args=arguments,
        resources=Resources(
            nodes=values["nodes"],
            processes_per_node=values["processes_per_node"],
            gpus_per_node=values["gpus_per_node"],
            cpus_per_process=values["cpus_per_process"],
            memory_gib=values["memory_gib"],
            time_limit_min=values["time_limit_min"],
        ),
        retries=values["retries"],
        env=values["env"],
        tags=values["tags"],
        description=values["description"],
        work=values["work"],
        objective=values["objective"],
        snapshot_limit_mib=values["snapshot_limit_mib"],
        **options,
    )
    return LaunchRequest(
        spec=spec,
        store=find_store(values["store"], cwd),
        config=yaml.dump(values, Dumper=_DUMPER, sort_keys=False, allow_unicode=True),
        overrides=tuple(overrides),
        wait=values["wait"],
        dry_run=values["dry_run"],
    )


_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
