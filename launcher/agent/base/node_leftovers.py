"""What agents have on a node's own disk, and how it goes when they were killed.

    <TMPDIR>/launcher-<hash of the attempt>/   box.json or owner.json: its owner, and podman's container
    <TMPDIR>/launcher-env-<digest>/            e/ an environment   users/<attempt>.json whose agent uses it

Nobody sees this disk but this node, so that flock(2) serves here.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import time
from typing import TYPE_CHECKING, Any, cast

from . import atomic_json
from .process_identity import is_alive
from .tmp import own_folders
from .tools import NOT_RUN, run_tool

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

PATHS_RECORD = ".launcher-stage.json"
"""In the environment: which of its files hold its path."""

ENVIRONMENT_PREFIX = "launcher-env-"

CONTAINER_RECORD = "box.json"
"""In an attempt's node-local folder: the name of its container and the agent that owns it."""

PODMAN_S = 30
"""How long one podman command may take, such as the removal of a container."""

_PAUSES_S = (0.2, 0.5)
"""Pauses before a podman command that failed is run again."""

OWNER_RECORD = "owner.json"
"""In an attempt's node-local folder: the agent that owns it."""


def release_environments(user: str) -> None:
    """Take back an attempt's use of environments here; what nobody uses is removed."""
    for root in own_folders(ENVIRONMENT_PREFIX):
        path = os.path.join(root, "users", user + ".json")
        if os.path.exists(path):
            atomic_json.remove(path)
            _remove_unused(root)


def sweep_environments() -> None:
    """Remove what agents left that were killed together with their guards."""
    for root in own_folders(ENVIRONMENT_PREFIX):
        _remove_unused(root)


def _used(root: str) -> bool:
    try:
        names = os.listdir(os.path.join(root, "users"))
    except OSError:
        return False
    owners = [atomic_json.read(os.path.join(root, "users", name)) for name in names if name.endswith(".json")]
    return any(owner is not None and is_alive(owner) is not False for owner in owners)


def _remove_unused(root: str) -> None:
    gone = root + ".gone" + os.urandom(8).hex()  # begins as the others do: found again when this is killed
    try:
        with locked(root, wait=False):
            if _used(root):
                return
            os.rename(root, gone)
            atomic_json.remove(root + ".lock")
    except OSError:  # somebody is about to use it
        return
    shutil.rmtree(gone, ignore_errors=True)


@contextlib.contextmanager
def locked(root: str, wait: bool = True) -> Generator[None, None, None]:
    """Hold the lock of a folder, which may vanish while it is waited for."""
    path = root + ".lock"
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            if os.fstat(fd).st_uid != os.geteuid():  # who could hold it for ever
                raise OSError("%s: %s belongs to another user" % (os.uname().nodename, path))
            fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(fd), os.stat(path)):
                    yield
                    return
        finally:
            os.close(fd)


def remove_container(folder: str) -> bool:
    """Remove the box whose record is in an attempt's node-local folder; return whether no box is left."""
    kept = atomic_json.read(os.path.join(folder, CONTAINER_RECORD))
    return kept is None or podman(["rm", "--force", "--time", "0", "--ignore", kept["name"]]) is not None


def podman(words: list[str]) -> str | None:
    """Return podman's output, or None if it fails.

    A failed command is repeated: Slurm sends SIGTERM to all processes of a job, and podman may stop halfway.
    """
    if shutil.which("podman") is None:
        return ""  # without podman there is no box
    for pause_s in (*_PAUSES_S, 0.0):
        done = run_tool(["podman", *words], timeout_s=PODMAN_S)
        if done.returncode in {0, NOT_RUN}:
            return None if done.returncode else done.stdout
        time.sleep(pause_s)
    return None


def list_containers() -> list[Mapping[str, Any]]:
    """Return the boxes of all runs that this user has on this node."""
    try:
        said = json.loads(podman(["ps", "--all", "--filter=label=launcher.owner", "--format=json"]) or "[]")
    except ValueError:
        return []
    return cast("list[Mapping[str, Any]]", said)


def remove_container_folders() -> None:
    """Remove the node-local folders of boxes whose agents are gone."""
    for folder in own_folders():
        kept = atomic_json.read(os.path.join(folder, CONTAINER_RECORD))
        if kept is not None and is_alive(kept["owner"]) is False:
            shutil.rmtree(folder, ignore_errors=True)


def is_abandoned(one: Mapping[str, Any]) -> bool:
    """Return whether the agent that owned a container is known to be gone."""
    try:
        owner = json.loads(one["Labels"]["launcher.owner"])
        return is_alive(owner) is False
    except (KeyError, TypeError, ValueError):
        return False


def sweep_attempt_folders() -> None:
    """Remove the node-local folders of boxes whose supervisors are gone."""
    for folder in own_folders():
        owner = atomic_json.read(os.path.join(folder, OWNER_RECORD))
        if owner is not None and is_alive(owner) is False:
            shutil.rmtree(folder, ignore_errors=True)
