"""Whether the engine sees the folders that its containers are given."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from docker.errors import APIError
from docker.types import Mount

from launcher.engine.client import in_words, words
from launcher.engine.made import own_labels, own_name
from launcher.errors import EngineError

if TYPE_CHECKING:
    from pathlib import Path


def check_sight(client: Any, image: str, folder: Path, memory: Path) -> None:
    """Find out whether the engine sees a folder of this machine, and note it.

    Args:
        client: of the engine.
        image: any that it has.
        folder: that was made just now: another machine has none of its name.
        memory: where it is noted that it does.

    Raises:
        EngineError: it does not.
    """
    place = str(folder)
    host = client.create_host_config(mounts=[Mount(place, place, type="bind", read_only=True)])
    with in_words():
        try:
            made = client.create_container(
                image, entrypoint=["sh"], command=["-c", "true"], host_config=host, labels=own_labels(),
                name=own_name(), network_disabled=True,
            )  # fmt: skip
        except APIError as error:
            said = words(error)
            if seen(said) != said:
                raise EngineError(seen(said)) from error
            return  # something else, which the run will meet and tell
        client.remove_container(made["Id"], force=True)
    memory.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    memory.touch()


def seen(said: str) -> str:
    """Return what an engine said, in better words where it does not see a folder."""
    found = re.search(r"bind source path does not exist: (\S+)", said)
    if found is None:
        return said
    return (
        f"the engine does not see {found[1]}: it is on another machine, or has a file system of its own. "
        "Give a store that both see with store=DIR, or another engine with DOCKER_HOST"
    )
