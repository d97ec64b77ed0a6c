"""Boxes of runs: containers, with the networks that they are in."""

from __future__ import annotations

import io
import os
import tarfile
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from docker.errors import APIError, NotFound
from docker.types import DeviceRequest, LogConfig, Mount, Ulimit

from launcher.engine.client import in_words, words
from launcher.engine.made import TOKEN, remove_container, remove_networks
from launcher.engine.sight import seen
from launcher.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Mapping

KEEPER: Final = (
    'trap \'\' HUP INT TERM USR1 USR2; : >"$0.up"; cat <"$0" >/dev/null & '
    'trap \': >"$0.stopped"; kill -TERM -1; '
    "while kill -0 $! 2>/dev/null && set -- /proc/[0-9]* && [ $# -gt 3 ]; do sleep 0.1; done; "
    "exit 143' TERM; wait $!"
)
"""What a box runs itself, given a FIFO that only the agent holds open: with the agent it ends. The file `.up`
beside it shows that the box runs, and that the FIFO is the agent's. SIGTERM, which comes from outside (docker
stop, or the engine as it stops), leaves the file `.stopped` and goes on to all processes in the box. The box
then ends once there are but three: the engine's init, this shell and its cat."""

UP_WITHIN_S = 20.0

_USERS = "etc/passwd"

_NETWORKS = threading.Lock()


def start(client: Any, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Start a box; return the id of its first process on this machine, its address and its network.

    Raises:
        EngineError: the engine refused.
    """
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
        _add_user(client, created["Id"], wanted)
        client.start(created["Id"])
        return _told(client, created["Id"], wanted)
    except APIError as error:
        what = f"the engine could not start a container of {wanted['image']}"
        raise EngineError(f"{what}: {seen(words(error))}") from error
    except EngineError as error:
        raise EngineError(f"{wanted['image']}: {seen(words(error))}") from error


def _create(client: Any, wanted: Mapping[str, Any]) -> dict[str, Any]:
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
        group_add=wanted["groups"] or None,
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


def _add_user(client: Any, container: str, wanted: Mapping[str, Any]) -> None:
    """Give the user of a container that is not started yet a name there, unless the image has one for it."""
    uid, _, gid = str(wanted["user"]).partition(":")
    if uid == "0":
        return
    known = _users(client, container)
    if known is None or any(line.split(":")[2:3] == [uid] for line in known.splitlines()):
        return
    head = known if known.endswith("\n") or not known else f"{known}\n"
    data = f"{head}{wanted['login']}:x:{uid}:{gid}::{wanted['home']}:/bin/sh\n".encode(
        "utf-8", "surrogateescape"
    )
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        entry = tarfile.TarInfo(_USERS)
        entry.size, entry.mode = len(data), 0o644
        archive.addfile(entry, io.BytesIO(data))
    client.put_archive(container, "/", packed.getvalue())


def _users(client: Any, container: str) -> str | None:
    """Return the list of a container's users, empty where it has none; None where it is no plain file."""
    try:
        chunks, _ = client.get_archive(container, f"/{_USERS}")
    except NotFound:
        return ""
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
        member = archive.next()
        file = archive.extractfile(member) if member is not None and member.isfile() else None
        return file.read().decode("utf-8", "surrogateescape") if file else None


def run_line(wanted: Mapping[str, Any]) -> list[str]:
    """Return the line of docker that starts what `start` does; for people to read. Pure."""
    options: Mapping[str, Any] = wanted["options"]
    argv = ["docker", "run", "--detach", "--rm", "--init"]
    argv += [f"--name={wanted['name']}", f"--hostname={wanted['hostname']}", f"--user={wanted['user']}"]
    argv += [f"--group-add={group}" for group in wanted["groups"]]
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
    with in_words():
        remove_container(client, name)
        if network:
            with _NETWORKS:
                remove_networks(client, [network])
