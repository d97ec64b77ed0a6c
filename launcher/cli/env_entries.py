"""What the verbs of `launcher env` have in common: all environments, and the runs that use them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from launcher.cli.output import say_note
from launcher.engine.client import reach
from launcher.engine.shelf import listed
from launcher.environment.cache.folder import KEY_LENGTH
from launcher.environment.cache.image_names import LABEL
from launcher.environment.cache.inventory import BUILDING, NO_IMAGE, UNFINISHED, Entry, folders, image_entries
from launcher.errors import EngineError
from launcher.store.usage import Usage, usage

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from launcher.paths import StoreFolder


UNREADY = {
    BUILDING: "is being built",
    UNFINISHED: "a build that did not finish",
    NO_IMAGE: "the log of an image that is not in this engine",
}
"""Kinds of what runs cannot use."""


class EnvironmentList(NamedTuple):
    """All environments, the one that was used last first."""

    entries: tuple[Entry, ...]
    usage: Usage
    client: Any
    """Of the engine; None where there is none."""
    left_out: str
    """Why images are left out."""


@contextmanager
def find(store: StoreFolder, cache: Path, *, sure: bool = False) -> Generator[EnvironmentList]:
    """Give what there is; without an engine, images are left out. For `sure` see `usage`."""
    images, client, left_out = None, None, ""
    try:
        client = reach()
        images = image_entries(cache, listed(client, label=LABEL))
    except EngineError as error:
        left_out = str(error)
    try:
        entries = [*folders(cache, images), *(images or ())]
        entries.sort(key=lambda entry: -entry.used)
        used = usage(store, KEY_LENGTH, sure=sure)
        yield EnvironmentList(tuple(entries), used, None if images is None else client, left_out)
    finally:
        if client is not None:
            client.close()


def say_left_out(found: EnvironmentList, *, as_json: bool) -> None:
    """Print why images are left out, aside."""
    if found.left_out:
        say_note(f"Images are left out: {found.left_out}", as_json=as_json)


def as_json(entry: Entry, found: EnvironmentList) -> dict[str, Any]:
    """Return an environment for `--json`."""
    runs = found.usage.of(entry.names)
    image = entry.kind == "image"
    return {
        "key": entry.key,
        "kind": entry.kind,
        "wants": list(entry.wants),
        "python": entry.python or None,
        "prefix": None if image or not entry.place else entry.place,
        "image": entry.place if image else None,
        "size_bytes": entry.size,
        "created": entry.created,
        "used": entry.used,
        "runs": len(runs),
        "runs_open": sum(run in found.usage.open for run in runs),
        "archive": None if entry.archive is None else str(entry.archive),
        "log": None if entry.log is None else str(entry.log),
    }


def brief(entry: Entry) -> str:
    """Return what an environment is for."""
    if entry.kind in UNREADY:
        return UNREADY[entry.kind]
    return " ".join(entry.wants or entry.packages) or "nothing beside Python"
