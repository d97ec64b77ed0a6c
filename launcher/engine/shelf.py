"""Images that are in the engine: listed, and removed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from launcher.engine.client import in_words, words

if TYPE_CHECKING:
    from collections.abc import Mapping


class Shelved(NamedTuple):
    """An image as a list of the engine has it."""

    id: str
    tags: tuple[str, ...]
    digests: tuple[str, ...]
    """`repository@sha256:…`, where a registry has it."""
    labels: Mapping[str, str]
    created: float
    size: int
    """With the layers that others share, in bytes."""


def listed(client: Any, **filters: Any) -> list[Shelved]:
    """Return the images that pass filters of the engine: `label`, `reference`, `dangling`.

    Raises:
        EngineError: the engine refused, or is gone.
    """
    with in_words():
        found: list[dict[str, Any]] = client.images(filters=filters)
    return [
        Shelved(
            id=str(one["Id"]),
            tags=tuple(tag for tag in one.get("RepoTags") or () if not tag.startswith("<none>")),
            digests=tuple(one.get("RepoDigests") or ()),
            labels=one.get("Labels") or {},
            created=float(one.get("Created") or 0),
            size=int(one.get("Size") or 0),
        )
        for one in found
    ]


def config(client: Any, image: str) -> Mapping[str, Any]:
    """Return the configuration that containers of an image begin with.

    Raises:
        EngineError: the engine refused, or is gone.
    """
    with in_words(image):
        found: dict[str, Any] = client.inspect_image(image)["Config"]
    return found


def layers(client: Any, image: str) -> tuple[str, ...]:
    """Return the layers of an image, the lowest first; none where it is gone.

    Raises:
        EngineError: the engine refused, or is gone.
    """
    from docker.errors import ImageNotFound  # noqa: PLC0415  # see `connect`

    with in_words():
        try:
            about: dict[str, Any] = client.inspect_image(image)
        except ImageNotFound:
            return ()
    below: dict[str, list[str]] = about.get("RootFS") or {}
    return tuple(below.get("Layers") or ())


def remove(client: Any, name: str) -> str:
    """Remove a name, and the image where it was the last one; return why not, such as for a container of it.

    Raises:
        EngineError: the engine is gone.
    """
    from docker.errors import APIError, ImageNotFound  # noqa: PLC0415  # see `connect`

    with in_words():
        try:
            client.remove_image(name)
        except ImageNotFound:
            return ""
        except APIError as error:
            return words(error)
    return ""
