"""Specs for plans, which depend on nothing but their values."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from launcher.capabilities import Framework
from launcher.compute.local import Local
from launcher.data.inputs import Inputs
from launcher.environment.current import Current
from launcher.environment.packages import Packages
from launcher.spec import Resources, RunSpec

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.spec import Distribution


def _spec(
    distribution: Distribution, nodes: int = 1, each: int = 1, framework: str = "tensorflow", **fields: Any
) -> RunSpec:
    fields.setdefault("compute", Local())
    environment = Packages() if fields.pop("packages", False) else Current()
    return RunSpec(
        name="mnist",
        source=Path("/source"),
        script="train.py",
        args=("--rate", "0.1"),
        resources=Resources(nodes=nodes, processes_per_node=each, cpus_per_process=fields.pop("cpus", None)),
        framework=Framework(name=framework),
        distribution=distribution,
        environment=environment,
        data=Inputs(),
        **fields,
    )


@pytest.fixture
def spec() -> Callable[..., RunSpec]:
    """Return what makes a spec of a distribution, nodes and processes on each."""
    return _spec
