"""The classes that the configuration is checked against, as Hydra wants them."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any

from hydra.core.config_store import ConfigNode
from omegaconf import DictConfig, OmegaConf

import launcher.compute
import launcher.data
import launcher.distribution
import launcher.environment
from launcher.capabilities import Framework
from launcher.config.omegaconf_nodes import child, object_type

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hydra.core.config_store import ConfigStore

GROUPS = ("compute", "framework", "distribution", "environment", "data")
"""The groups whose choice is an option class, in the order of `config.yaml`."""


@dataclass(kw_only=True)
class Example:
    """What the choices alone run."""

    script: str | None
    args: dict[str, Any]


@dataclass(kw_only=True)
class Launch:
    """Types of the keys at the top; their defaults and meaning are in `conf/launcher.yaml`."""

    name: str
    description: str
    tags: dict[str, str]
    source: str
    script: str | None
    args: dict[str, Any]
    args_style: str
    command: list[str]
    cwd: str | None
    stdin: str | None
    env: dict[str, str]
    example: Example
    nodes: int
    processes_per_node: int
    gpus_per_node: int
    cpus_per_process: int | None
    memory_gib: float | None
    time_limit_min: float | None
    retries: int
    work: str
    links: list[str]
    wait: bool
    dry_run: bool
    objective: str | None
    store: str | None
    snapshot_limit_mib: float
    compute: Any
    framework: Any
    distribution: Any
    environment: Any
    data: Any


def schemas() -> Iterator[tuple[str | None, str, type]]:
    """Yield group, name and class of every schema."""
    yield None, "launch", Launch
    yield None, "framework", Framework
    for group, table in (
        ("compute", launcher.compute.CHOICES),
        ("distribution", launcher.distribution.CHOICES),
        ("environment", launcher.environment.CHOICES),
        ("data", launcher.data.CHOICES),
    ):
        for name, option in table.items():
            yield group, name, option


def register(store: ConfigStore) -> None:
    """Put the classes where a defaults list finds them, as `/schema/<group>/<choice>@_here_`."""
    for group, name, option in schemas():
        place = store.repo.setdefault("schema", {})
        if group:
            place = place.setdefault(group, {})
        place[f"{name}.yaml"] = _Schema(f"{name}.yaml", f"schema/{group}" if group else "schema", option)


class _Schema(ConfigNode):
    """Makes its node when it is asked for: a launch uses a third of them, and one takes a millisecond."""

    def __init__(self, name: str, group: str, option: type) -> None:
        self.name = name
        self.group = group
        self.package = None
        self.provider = "launcher"
        self.option = option

    def __getattr__(self, name: str) -> Any:
        """Make the node."""
        if name == "node":
            return node_of(self.option)
        raise AttributeError(name)


def node_of(option: type) -> Any:
    """Return the node of an option class, which takes values."""
    node = OmegaConf.structured(option)
    # OmegaConf makes a frozen class read-only and Hydra then refuses the YAML on top.
    OmegaConf.set_readonly(node, value=None)
    for field in fields(option):
        below = child(node, field.name)  # also where it has no value yet
        if isinstance(below, DictConfig) and is_dataclass(object_type(below)):
            OmegaConf.set_readonly(below, value=None)
        elif isinstance(below, DictConfig):
            # Hydra closes every mapping; these take any key: `env.X=1`, not `+env.X=1`.
            OmegaConf.set_struct(below, value=False)
    return node
