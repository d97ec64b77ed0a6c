"""What this package makes in the engine: whose it is, in names and labels, and how it is removed."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import uuid4

from docker.errors import APIError, NotFound

from launcher.agent.base import process_identity
from launcher.engine.client import in_words, words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

RUN: Final = "launcher.run"
"""Label: the run's id."""
OWNER: Final = "launcher.owner"
"""Label: the supervisor, as `record.owner` tells it."""
TOKEN: Final = "launcher.supervisor"  # noqa: S105  # no secret
"""Label: what is alike on all that one supervisor has made."""

BUILD: Final = "launcher.build"
"""Label: on what a Dockerfile of this package has begun; see `build_mark`."""

_MARK: Final = "launcher-build-"

REMOVAL_S: Final = 120
"""Wait for a removal that the engine has begun; what takes longer is left to the engine."""

PREFIX: Final = "launcher-"
"""Of the names of all containers and networks that this package makes."""


def own_labels() -> dict[str, str]:
    """Return the labels of what this process makes in the engine, by which it is swept if it is killed."""
    return {OWNER: json.dumps(process_identity.identity())}


def own_name() -> str:
    """Return a name for such a container: what has another is never swept, whatever labels its image has."""
    return f"{PREFIX}{uuid4().hex[:12]}"


def build_mark() -> dict[str, str]:
    """Return a host that the containers of a Dockerfile's steps know, by which they are swept.

    The engine names these containers, and whatever has `BUILD` from an image has this from nobody else.
    """
    return {_MARK + json.dumps(process_identity.identity()).encode().hex(): "127.0.0.1"}


def _build_owner(client: Any, container: str) -> dict[str, str]:
    """Return the labels that a container of a Dockerfile's step would have; none where it is no such."""
    try:
        host: dict[str, Any] = client.inspect_container(container)["HostConfig"]
    except NotFound:
        return {}
    for known in host.get("ExtraHosts") or ():
        if known.startswith(_MARK):
            with suppress(ValueError):
                return {OWNER: bytes.fromhex(known[len(_MARK) :].partition(":")[0]).decode()}
    return {}


class Made(NamedTuple):
    """A container or a network that this package has made."""

    kind: str
    """`container` or `network`."""
    name: str
    run: str
    """Its id; empty where it was made to build, or to look into an image."""


def made(client: Any, mine: Callable[[Mapping[str, str]], bool]) -> list[Made]:
    """Return the containers, then the networks, whose labels pass.

    Raises:
        EngineError: the engine refused, or is gone.
    """
    with in_words():
        boxes = client.containers(all=True, filters={"label": OWNER})
        networks = client.networks(filters={"label": OWNER})
        steps = [
            (one["Names"][0].lstrip("/"), _build_owner(client, one["Id"]))
            for one in client.containers(all=True, filters={"label": BUILD})
            if one["Names"]
        ]
    named = [("container", one["Names"][0], one["Labels"]) for one in boxes if one["Names"]]
    named += [("network", one["Name"], one["Labels"]) for one in networks]
    return [Made("container", name, "") for name, labels in steps if labels and mine(labels)] + [
        Made(kind, name.lstrip("/"), labels.get(RUN, ""))
        for kind, name, labels in named
        # Labels alone may come from an image.
        if name.lstrip("/").startswith(PREFIX) and mine(labels)
    ]


def sweep(client: Any, mine: Callable[[Mapping[str, str]], bool]) -> list[Made]:
    """Remove the containers and networks whose labels say that they are to go; return them.

    Raises:
        EngineError: the engine refused, or is gone.
    """
    found = made(client, mine)
    with in_words():
        for each in found:
            if each.kind == "container":
                remove_container(client, each.name)
        removed = remove_networks(client, [each.name for each in found if each.kind == "network"])
    return [each for each in found if each.kind == "container" or each.name in removed]


def abandoned(labels: Mapping[str, str]) -> bool:
    """Tell whether the supervisor that made something is surely gone."""
    try:
        return process_identity.is_alive(json.loads(labels[OWNER])) is False
    except (KeyError, TypeError, ValueError):
        return False


def remove_container(client: Any, name: str) -> None:
    """Remove a container that may be gone, or may be on its way out."""
    try:
        client.remove_container(name, force=True, v=True)
    except NotFound:
        return
    except APIError as error:
        if "already in progress" not in words(error):  # by the engine itself, as its keeper has ended
            raise
        try:
            client.wait(name, condition="removed", timeout=REMOVAL_S)
        except NotFound:  # it is gone meanwhile
            return
        except OSError as late:  # a timeout of requests, or of the answer that has begun
            if "timed out" not in str(late).lower():
                raise


def remove_networks(client: Any, names: list[str]) -> list[str]:
    """Remove networks; return which. One that is gone, or still has another box in it, is left."""
    removed: list[str] = []
    for name in names:
        try:
            client.remove_network(name)
            removed.append(name)
        except APIError as error:
            if error.status_code not in {403, 404}:
                raise
    return removed
