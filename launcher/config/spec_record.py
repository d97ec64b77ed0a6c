"""A run's spec read back from its folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from launcher.config.schema import GROUPS, node_of, schemas
from launcher.spec import Resources, RunSpec

if TYPE_CHECKING:
    from collections.abc import Mapping


def thaw(frozen: Mapping[str, Any]) -> RunSpec:
    """Return the spec that `spec.json` holds, with option classes again."""
    classes = {(group, name): option for group, name, option in schemas()}
    options: dict[str, Any] = {}
    for group in GROUPS:
        values = dict(frozen[group])
        kind = values.pop("kind", None)
        option = classes[(group, kind)] if kind else classes[(None, group)]
        options[group] = OmegaConf.to_object(OmegaConf.merge(node_of(option), values))
    same = (
        "name",
        "script",
        "retries",
        "env",
        "tags",
        "description",
        "work",
        "objective",
        "snapshot_limit_mib",
    )
    return RunSpec(
        source=Path(frozen["source"]),
        command=tuple(frozen["command"]),
        args=tuple(frozen["args"]),
        resources=Resources(**frozen["resources"]),
        **{key: frozen[key] for key in same},
        cwd=frozen.get("cwd"),
        stdin=frozen.get("stdin"),
        links=tuple(frozen.get("links", ())),
        app=frozen.get("app"),
        **options,
    )
