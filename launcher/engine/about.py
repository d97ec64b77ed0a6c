"""What the engine tells of itself beyond what a launch asks: for `compute check`. Nothing is started."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from launcher.engine.client import connect, words
from launcher.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from launcher.engine.made import Made

_SOURCE_MISSING = "bind source path does not exist"
"""dockerd's words (volume/mounts/linux_parser.go); it looks before it looks for the image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """An engine, and what it holds of killed supervisors."""

    machine: str
    """Name of the one that it runs on, as the engine sees it."""
    kernel: str
    root: str
    """Its folder of data, on that machine."""
    driver: str
    """How it stores images."""
    runtimes: tuple[str, ...]
    devices: tuple[str, ...]
    """Of CDI, where it tells of any."""
    lacks: tuple[str, ...]
    """What its kernel cannot limit."""
    abandoned: tuple[Made, ...]
    unseen: tuple[Path, ...] | None
    """Which of the files that were asked for it does not see; None where only a container could tell."""


def sdk_version() -> str | None:
    """Return the version of the Docker SDK, None where it is not installed."""
    try:
        import_module("docker")
        return metadata.version("docker")
    except ImportError:  # PackageNotFoundError is one
        return None


def chosen_by() -> str:
    """Return what names the engine: a variable or a context."""
    from docker.context.config import get_current_context_name  # noqa: PLC0415  # see `connect`

    if os.environ.get("DOCKER_HOST"):
        return "DOCKER_HOST"
    if os.environ.get("DOCKER_CONTEXT"):
        return f"DOCKER_CONTEXT={os.environ['DOCKER_CONTEXT']}"
    return f"context {get_current_context_name()}"


def ask(marks: Sequence[Path]) -> About:
    """Return what the engine tells.

    Args:
        marks: files of this machine, to ask which of them the engine sees.

    Raises:
        EngineError: there is none, or it ceases to answer.
    """
    client = connect(timeout_s=10)
    from launcher.engine import made  # noqa: PLC0415  # imports the SDK, which has just been seen to be there

    try:
        info: dict[str, Any] = client.info()
        found = made.made(client, made.abandoned)
        unseen = _unseen(client, marks)
    except EngineError:
        raise
    except Exception as error:  # requests, urllib3 and the SDK each have their own
        raise EngineError(words(error)) from error
    finally:
        client.close()
    limits = {"memory": "MemoryLimit", "CPUs": "CpuCfsQuota"}
    devices: list[dict[str, str]] = info.get("DiscoveredDevices") or []
    return About(
        machine=str(info.get("Name") or ""),
        kernel=str(info.get("KernelVersion") or ""),
        root=str(info.get("DockerRootDir") or ""),
        driver=str(info.get("Driver") or ""),
        runtimes=tuple(sorted(info.get("Runtimes") or ())),
        devices=tuple(str(device.get("ID")) for device in devices),
        lacks=tuple(what for what, key in limits.items() if info.get(key) is False),
        abandoned=tuple(found),
        unseen=unseen,
    )


def _unseen(client: Any, marks: Sequence[Path]) -> tuple[Path, ...] | None:
    """Return the files of which it refuses a mount, where it would else refuse an image that is none."""
    nowhere = marks[0].with_name(f"{marks[0].name}-{uuid4().hex}")
    if _SOURCE_MISSING not in _refusal(client, nowhere):
        return None
    return tuple(mark for mark in marks if _SOURCE_MISSING in _refusal(client, mark))


def _refusal(client: Any, source: Path) -> str:
    """Return why the engine makes no container of an image that it cannot have."""
    from docker.errors import APIError  # noqa: PLC0415  # see `connect`
    from docker.types import Mount  # noqa: PLC0415

    mount = Mount("/mark", str(source), type="bind", read_only=True)
    host = client.create_host_config(mounts=[mount])
    try:
        client.create_container(f"launcher/none:{uuid4().hex}", host_config=host)
    except APIError as error:
        return words(error)
    return ""


def registries() -> tuple[str, ...]:
    """Return where this user is logged in by Docker's configuration, names only; nothing secret is read."""
    from docker.utils.config import find_config_file  # noqa: PLC0415  # see `connect`

    path = find_config_file()
    if path is None:
        return ()
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123  # the SDK gives text
            known: dict[str, Any] = json.load(file)
    except (OSError, ValueError):
        return ()
    names = [*(known.get("auths") or ()), *(known.get("credHelpers") or ())]
    found = dict.fromkeys(re.sub(r"^https?://|/.*", "", name) for name in names)
    store = known.get("credsStore")
    return (*sorted(found), *([f"those of docker-credential-{store}"] if store else ()))
