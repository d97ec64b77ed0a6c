"""Containers and networks of runs: made, looked at, and removed. What belongs to whom is in their labels."""

from __future__ import annotations

import json
import os
import re
import threading
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import uuid4

from launcher.agent import record
from launcher.engine.client import words
from launcher.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

RUN: Final = "launcher.run"
"""Label: the run's id."""
OWNER: Final = "launcher.owner"
"""Label: the supervisor, as `record.owner` tells it."""
TOKEN: Final = "launcher.supervisor"  # noqa: S105  # no secret
"""Label: what is alike on all that one supervisor has made."""

PREFIX: Final = "launcher-"
"""Of the names of all containers and networks that this package makes."""

KEEPER: Final = 'trap \'\' HUP INT TERM USR1 USR2; : >"$0.up"; cat <"$0" >/dev/null & wait $!'
"""What a box runs itself, given a FIFO that only the agent holds open: with the agent it ends. The file beside
that it makes shows that it runs, and that the FIFO is the agent's."""

UP_WITHIN_S = 20.0

_NETWORKS = threading.Lock()


def start(client: Any, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Start a box; return the id of its first process on this machine, its address and its network.

    Raises:
        EngineError: the engine refused.
    """
    from docker.errors import APIError  # noqa: PLC0415  # see `connect`

    name = str(wanted["name"])
    try:
        if wanted["network"]:
            _ensure_network(client, wanted)
        try:
            created = _create(client, wanted)
        except APIError as error:
            if error.status_code != 409:  # noqa: PLR2004  # there: of an attempt that was killed
                raise
            client.remove_container(name, force=True)
            created = _create(client, wanted)
        client.start(created["Id"])
        return _told(client, created["Id"], wanted)
    except (APIError, EngineError) as error:
        raise EngineError(f"{wanted['image']}: {_seen(words(error))}") from error


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
    from docker.errors import APIError  # noqa: PLC0415  # see `connect`
    from docker.types import Mount  # noqa: PLC0415

    place = str(folder)
    host = client.create_host_config(mounts=[Mount(place, place, type="bind", read_only=True)])
    try:
        made = client.create_container(
            image, entrypoint=["sh"], command=["-c", "true"], host_config=host, labels=own_labels(),
            name=own_name(), network_disabled=True,
        )  # fmt: skip
    except APIError as error:
        said = words(error)
        if _seen(said) != said:
            raise EngineError(_seen(said)) from error
        return  # something else, which the run will meet and tell
    client.remove_container(made["Id"], force=True)
    memory.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    memory.touch()


def _seen(said: str) -> str:
    """Return what an engine said, in better words where it does not see a folder."""
    found = re.search(r"bind source path does not exist: (\S+)", said)
    if found is None:
        return said
    return (
        f"the engine does not see {found[1]}: it is on another machine, or has a file system of its own. "
        "Give a store that both see with store=DIR, or another engine with DOCKER_HOST"
    )


def own_labels() -> dict[str, str]:
    """Return the labels of what this process makes in the engine, by which it is swept if it is killed."""
    return {OWNER: json.dumps(record.owner())}


def own_name() -> str:
    """Return a name for such a container: what has another is never swept, whatever labels its image has."""
    return f"{PREFIX}{uuid4().hex[:12]}"


def _create(client: Any, wanted: Mapping[str, Any]) -> dict[str, Any]:
    from docker.types import DeviceRequest, LogConfig, Mount, Ulimit  # noqa: PLC0415  # see `connect`

    options: Mapping[str, Any] = wanted["options"]
    ulimits: Mapping[str, int] = options["ulimits"]
    limits = [Ulimit(name=name, soft=value, hard=value) for name, value in ulimits.items()]
    gpus = (
        [DeviceRequest(device_ids=list(wanted["gpus"]), capabilities=[["gpu"]])] if wanted["gpus"] else None
    )
    host = client.create_host_config(
        auto_remove=True,
        init=True,
        network_mode=wanted["network"] or "bridge",
        # Mounts, not volumes: with these the engine makes no folder where the source is missing.
        mounts=[Mount(dst, src, type="bind", read_only=locked) for src, dst, locked in wanted["mounts"]],
        mem_limit=wanted["memory"],
        memswap_limit=wanted["memory"],
        nano_cpus=wanted["nano_cpus"],
        shm_size=wanted["shm"],
        device_requests=gpus,
        cap_add=list(options.get("capabilities") or ()) or None,
        devices=list(options.get("devices") or ()) or None,
        ulimits=limits or None,
        log_config=LogConfig(type="none"),
        security_opt=["label=disable"],
        userns_mode="host" if wanted["remapped"] else None,
    )
    networking = None
    if wanted["network"]:
        endpoint = client.create_endpoint_config(aliases=[wanted["hostname"]])
        networking = client.create_networking_config({wanted["network"]: endpoint})
    found: dict[str, Any] = client.create_container(
        wanted["image"],
        entrypoint=["sh"],
        command=["-c", KEEPER, wanted["fifo"]],
        name=wanted["name"],
        hostname=wanted["hostname"],
        user=wanted["user"],
        labels=wanted["labels"],
        host_config=host,
        networking_config=networking,
        working_dir="/",
    )
    return found


def run_line(wanted: Mapping[str, Any]) -> list[str]:
    """Return the line of docker that starts what `start` does; for people to read. Pure."""
    options: Mapping[str, Any] = wanted["options"]
    argv = ["docker", "run", "--detach", "--rm", "--init"]
    argv += [f"--name={wanted['name']}", f"--hostname={wanted['hostname']}", f"--user={wanted['user']}"]
    argv += [f"--label={name}={value}" for name, value in wanted["labels"].items()]
    argv += [f"--network={wanted['network'] or 'bridge'}"]
    argv += [f"--network-alias={wanted['hostname']}"] if wanted["network"] else []
    memory = _size(wanted["memory"] or 0)
    argv += [f"--memory={memory}", f"--memory-swap={memory}"] if wanted["memory"] else []
    argv += [f"--cpus={wanted['nano_cpus'] / 1e9:g}"] if wanted["nano_cpus"] else []
    argv += [f"--shm-size={_size(wanted['shm'])}"]
    argv += [f'--gpus="device={",".join(wanted["gpus"])}"'] if wanted["gpus"] else []
    argv += [f"--cap-add={name}" for name in options["capabilities"]]
    argv += [f"--device={device}" for device in options["devices"]]
    argv += [f"--ulimit={name}={value}" for name, value in options["ulimits"].items()]
    for source, target, locked in wanted["mounts"]:
        argv.append(f"--mount=type=bind,source={source},target={target}{',readonly' if locked else ''}")
    argv += ["--log-driver=none", "--security-opt=label=disable", "--workdir=/"]
    argv += ["--userns=host"] if wanted["remapped"] else []
    return [*argv, "--entrypoint=sh", wanted["image"], "-c", KEEPER, wanted["fifo"]]


def _size(count: int) -> str:
    """Return a number of bytes as docker takes it, in the largest unit that keeps it whole."""
    for unit, power in (("g", 30), ("m", 20), ("k", 10)):
        if count % 2**power == 0:
            return f"{count >> power}{unit}"
    return f"{count}b"


def _told(client: Any, container: str, wanted: Mapping[str, Any]) -> dict[str, Any]:
    until, up = time.monotonic() + UP_WITHIN_S, f"{wanted['fifo']}.up"
    while True:
        seen = os.path.exists(up)  # noqa: PTH110  # before its state, which is then that of a box that runs
        state = _state(client, container)
        if not state["State"]["Running"]:
            raise EngineError("the container ended at once. Is there a sh in it?")
        if seen:
            break
        if time.monotonic() > until:
            raise EngineError(f"the engine does not see {up}, but a file system of its own in its place")
        time.sleep(0.01)
    known: dict[str, Any] = state["NetworkSettings"]["Networks"][wanted["network"] or "bridge"]
    return {
        "pid": state["State"]["Pid"],
        "address": known["IPAddress"],
        "subnet": f"{known['IPAddress']}/{known['IPPrefixLen']}",
        "interface": "eth0",
    }


def _state(client: Any, container: str) -> dict[str, Any]:
    from docker.errors import NotFound  # noqa: PLC0415  # see `connect`

    try:
        found: dict[str, Any] = client.inspect_container(container)
    except NotFound:  # removed already, as it is to be once it ends
        return {"State": {"Running": False}}
    return found


def _ensure_network(client: Any, wanted: Mapping[str, Any]) -> None:
    """Make the network of a run unless another of its boxes has."""
    name = wanted["network"]
    with _NETWORKS:
        if not client.networks(names=[name], filters={"label": f"{TOKEN}={wanted['labels'][TOKEN]}"}):
            remove_networks(client, [name])  # of an attempt that was killed
            client.create_network(name, driver="bridge", labels=wanted["labels"], check_duplicate=True)


def remove(client: Any, name: str, network: str | None) -> None:
    """Remove a box, and its network where it was the last one in it; harmless where they are gone.

    Raises:
        EngineError: the engine refused, or is gone.
    """
    from docker.errors import DockerException, NotFound  # noqa: PLC0415  # see `connect`
    from requests.exceptions import RequestException  # noqa: PLC0415

    try:
        _remove_container(client, name, NotFound)
        if network:
            with _NETWORKS:
                remove_networks(client, [network])
    except (DockerException, RequestException, OSError) as error:
        raise EngineError(words(error)) from error


def _remove_container(client: Any, name: str, gone: type[Exception]) -> None:
    from docker.errors import APIError  # noqa: PLC0415  # see `connect`

    try:
        client.remove_container(name, force=True, v=True)
    except gone:
        return
    except APIError as error:
        if "already in progress" not in words(error):  # by the engine itself, as its keeper has ended
            raise
        client.wait(name, condition="removed", timeout=20)


def remove_networks(client: Any, names: list[str]) -> list[str]:
    """Remove networks; return which. One that is gone, or still has another box in it, is left."""
    from docker.errors import APIError  # noqa: PLC0415  # see `connect`

    removed: list[str] = []
    for name in names:
        try:
            client.remove_network(name)
            removed.append(name)
        except APIError as error:
            if error.status_code not in {403, 404}:
                raise
    return removed


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
    from docker.errors import DockerException  # noqa: PLC0415  # see `connect`
    from requests.exceptions import RequestException  # noqa: PLC0415

    try:
        boxes = client.containers(all=True, filters={"label": OWNER})
        networks = client.networks(filters={"label": OWNER})
    except (DockerException, RequestException, OSError) as error:
        raise EngineError(words(error)) from error
    named = [("container", one["Names"][0], one["Labels"]) for one in boxes if one["Names"]]
    named += [("network", one["Name"], one["Labels"]) for one in networks]
    return [
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
    from docker.errors import DockerException, NotFound  # noqa: PLC0415  # see `connect`
    from requests.exceptions import RequestException  # noqa: PLC0415

    found = made(client, mine)
    try:
        for each in found:
            if each.kind == "container":
                _remove_container(client, each.name, NotFound)
        removed = remove_networks(client, [each.name for each in found if each.kind == "network"])
    except (DockerException, RequestException, OSError) as error:
        raise EngineError(words(error)) from error
    return [each for each in found if each.kind == "container" or each.name in removed]


def abandoned(labels: Mapping[str, str]) -> bool:
    """Tell whether the supervisor that made something is surely gone."""
    try:
        return record.alive(json.loads(labels[OWNER])) is False
    except (KeyError, TypeError, ValueError):
        return False
