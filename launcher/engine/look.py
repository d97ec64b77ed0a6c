"""What is in an image, asked once of a container of it and remembered by the image's id."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from launcher.engine.client import in_words
from launcher.engine.made import own_labels, own_name
from launcher.programs import PYTHON_QUERY
from launcher.spec import SCHEMA
from launcher.store import records

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_PROGRAMS = ("apt-get", "conda", "mamba", "micromamba", "mpirun", "mpicxx", "g++", "cmake")

_SCRIPT = f"""\
for name in {" ".join(_PROGRAMS)}; do command -v $name >/dev/null && echo "$name=$(command -v $name)"; done
echo "@mpirun"; mpirun --version 2>&1
echo "@python"; python3 -c "$0" 2>&1
"""

_WAIT_S = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """What a container of an image has."""

    programs: Mapping[str, str] = field(default_factory=dict[str, str])
    """Path of each of those that matter and that is there."""
    mpirun: str = ""
    """What its mpirun says of its version."""
    python: Mapping[str, str] | None = None
    """`path`, `version`, `implementation`, `abi`, `libc` of its python3; None where it has none."""


def look(client: Any, image: str, cache: Path) -> Inside:
    """Return what is in an image.

    Args:
        client: of the engine.
        image: its id.
        cache: where answers are remembered.

    Raises:
        EngineError: no container of it starts.
    """
    known = remembered(image, cache)
    if known is not None:
        return known
    said, memory = _ask(client, image), _memory(image, cache)
    memory.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    records.write(memory, {"schema": SCHEMA, "said": said})
    return parse(said)


def remembered(image: str, cache: Path) -> Inside | None:
    """Return what is in an image that was looked into before."""
    known = records.read(_memory(image, cache))
    return parse(str(known["said"])) if known is not None and known.get("schema") == SCHEMA else None


def _memory(image: str, cache: Path) -> Path:
    return cache / "images" / f"{image.rpartition(':')[2][:40]}.json"


def _ask(client: Any, image: str) -> str:
    with in_words(image):
        made = client.create_container(
            image, entrypoint=["sh"], command=["-c", _SCRIPT, PYTHON_QUERY], labels=own_labels(),
            name=own_name(), network_disabled=True,
        )  # fmt: skip
        try:
            client.start(made["Id"])
            client.wait(made["Id"], timeout=_WAIT_S)
            said: bytes = client.logs(made["Id"])
        finally:
            client.remove_container(made["Id"], force=True, v=True)
    return said.decode("utf-8", "replace")


def parse(said: str) -> Inside:
    """Return what the script's output tells."""
    head, _, rest = said.partition("@mpirun\n")
    mpirun, _, python = rest.partition("@python\n")
    programs = dict(line.split("=", 1) for line in head.splitlines() if "=" in line)
    found = re.search(r"^\{.*\}$", python, re.MULTILINE)
    return Inside(
        programs=programs,
        mpirun=mpirun.strip() if "mpirun" in programs else "",
        python=json.loads(found.group()) if found else None,
    )
