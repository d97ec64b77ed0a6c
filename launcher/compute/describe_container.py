"""A node's container as a dry run shows it; in capitals is what only a launch knows (`launcher.legend`)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from launcher.agent.base import container_argv

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.paths import StoreFolder


def container_of(
    mine: dict[str, Any], spec: Mapping[str, Any], store: StoreFolder, name: str, prefix: str = ""
) -> dict[str, Any] | None:
    """Return what a node is told of its container, None where there is none."""
    run = store.experiment(spec["name"]) / "N"
    data = [f"@{{data.{each}}}" for each in spec["data"].get("inputs") or ()]
    links: list[str] = [os.path.realpath(f"{spec['source']}/{path}") for path in spec["links"]]
    told = container_argv.wanted(mine, str(run), spec["id"], {"prefix": prefix}, data, links)
    if told is None:
        return None
    agent = str(store.agents / "DIGEST" / "agent")
    locked = [str(store.snapshots / "DIGEST"), agent, prefix, *data]
    mounts = [*container_argv.own_mounts(mine), [str(run), str(run), False]]
    mounts += [[path, path, True] for path in locked if path]
    mounts += [[path, path, False] for path in (*links, f"TMP/{name}")]
    return {**told, "name": name, "pidfile": f"TMP/{name}/box.pid", "agent": agent, "mounts": mounts}
