"""The command lines of containers, as podman, Apptainer and Enroot take them. Pure."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_KEEPER = "trap '' HUP INT TERM USR1 USR2; cat <&3 & wait $!"
"""What a box runs itself, until the agent's end of the pipe is closed. `wait` also reaps orphans."""


def of(compute: dict[str, Any], environment: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a run's containers; with compute=docker its environment is their image."""
    if compute.get("kind") == "docker":
        return dict(compute, runtime="docker", image=environment.get("image"))
    return compute.get("container") or {}


def engine_part(container: dict[str, Any], spec: Mapping[str, Any], mark: str, node: int) -> dict[str, Any]:
    """Return what else an engine has to know of a node's container.

    Args:
        container: the options.
        spec: of the run.
        mark: of the attempt.
        node: its number.
    """
    resources, plan = spec["resources"], spec["plan"]
    cpus, memory = resources["cpus_per_process"], resources["memory_gib"]
    processes = [process for process in plan["processes"] if process["node"] == node]
    count = plan["processes_per_node"] if plan["mpi"] is not None else len(processes)
    network = "launcher-net-" + hashlib.sha256(os.fsencode(mark)).hexdigest()[:12]
    return {
        "image": container["image"],
        "hostname": "node%d" % node,
        "network": network if plan["nodes"] > 1 else None,
        "memory": int(memory * 2**30) if memory else None,
        "nano_cpus": int(cpus * count * 1e9) if cpus else None,
        "shm": int(container["shm_size_gib"] * 2**30),
        "options": {name: container[name] for name in ("capabilities", "devices", "ulimits")},
    }


def wanted(  # noqa: PLR0913, PLR0917  # what is mounted comes from all over a run
    container: dict[str, Any],
    run: str,
    name: str,
    environment: Mapping[str, Any],
    data: list[str],
    links: list[str],
) -> dict[str, Any] | None:
    """Return what the first node's agent says to all of the containers of a run; None where there are none.

    Args:
        container: the options, as the run's spec has them.
        run: the run folder.
        name: of the run.
        environment: that is brought into the container; empty: what the image has.
        data: paths of the inputs.
        links: paths of the source itself that the script may write to.
    """
    if not container.get("image"):
        return None
    agent = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    source = os.path.join(run, "source")
    if os.path.islink(source):
        source = os.path.normpath(os.path.join(run, os.readlink(source)))
    prefix = environment.get("prefix") or ""
    mounts = [*own_mounts(container), [run, run, False]]
    mounts += [[path, path, True] for path in (source, agent, prefix, *data) if path]
    mounts += [[path, path, False] for path in links]
    python = environment.get("python") or ""
    return {"container": container, "run": name, "mounts": mounts, "gpus": [], "agent": agent,
            "python": python, "prefix": prefix}  # fmt: skip


def is_kept(container: dict[str, Any]) -> bool:
    """Tell whether there is a box that processes enter."""
    return container["runtime"] in ("podman", "docker")


def wrap(container: dict[str, Any], gpus: bool) -> list[str]:
    """Return the words that stand before every process, as their manuals have them."""
    if container["wrap"] is not None:
        return [str(word) for word in container["wrap"]]
    if container["runtime"] == "apptainer":
        nvidia = ["--nv"] if gpus else []
        return ["apptainer", "exec", "--cleanenv", "--no-home", *nvidia, "--bind=@{mounts}", "@{image}"]
    return ["enroot", "start", "--rw", "--mount=@{fstab}", "@{image}"]


def wrapped(words: list[str], image: str, mounts: list[list[Any]]) -> list[str]:
    """Return the words of `wrap` with their placeholders filled.

    Args:
        words: `@{image}`; `@{mounts}`, all of them with commas between; a word with `@{mount}`, or with
            `@{fstab}` (the fields of fstab(5) with colons between), is there once for each.
        image: of the container.
        mounts: source, target, and whether it is read-only.
    """
    plain = ["%s:%s%s" % (source, target, ":ro" if locked else "") for source, target, locked in mounts]
    rows = ["%s:%s:none:x-create=auto,bind,%s" % (one[0], one[1], "ro" if one[2] else "rw") for one in mounts]
    found: list[str] = []
    for word in words:
        filled = word.replace("@{image}", image).replace("@{mounts}", ",".join(plain))
        if "@{mount}" in filled:
            found += [filled.replace("@{mount}", one) for one in plain]
        elif "@{fstab}" in filled:
            found += [filled.replace("@{fstab}", one) for one in rows]
        else:
            found.append(filled)
    return found


def start_argv(wanted: dict[str, Any], user: tuple[int, int], owner: str) -> list[str]:
    """Return the line that starts a box; descriptor 3 is the pipe that it lives by.

    Args:
        wanted: what the first node's agent says of it.
        user: uid and gid.
        owner: of the box, as a label tells it.
    """
    container = wanted["container"]
    argv = ["podman", "run", "--detach", "--rm", "--name=" + wanted["name"], "--pidfile=" + wanted["pidfile"]]
    argv += ["--label=launcher.run=" + wanted["run"], "--label=launcher.owner=" + owner]
    # Names, addresses and ports are the node's, and so is the shared memory: podman gives 64 MB by itself.
    argv += ["--network=host", "--ipc=host", "--security-opt=label=disable", "--log-driver=none"]
    argv += ["--user=%d:%d" % user] + (["--userns=keep-id"] if user[0] else [])
    argv += ["--mount=" + _mount(*mount) for mount in wanted["mounts"]]
    argv += ["--device=nvidia.com/gpu=" + gpu for gpu in wanted["gpus"]]
    argv += [str(word) for word in container["options"]]
    return [*argv, "--preserve-fds=1", "--entrypoint=sh", container["image"], "-c", _KEEPER]


def enter_argv(wanted: dict[str, Any], words: list[str]) -> list[str]:
    """Return the line that starts a process in the container.

    Args:
        wanted: as for `start_argv`.
        words: the arguments of enter.sh.
    """
    container = wanted["container"]
    if is_kept(container):
        before = ["podman", "exec", "--interactive", wanted["name"]]
    else:
        before = wrap(container, gpus=bool(wanted["gpus"]))
        before = wrapped(before, container["image"], wanted["mounts"])
    return [*before, "sh", wanted["agent"] + "/containers/enter.sh", *words]


def own_mounts(container: dict[str, Any]) -> list[list[Any]]:
    """Return the mounts of the options, `SRC:DST[:ro]`, as source, target, and whether it is read-only."""
    rows = [str(mount).split(":") for mount in container.get("mounts") or ()]
    return [[row[0], row[1], row[2:] == ["ro"]] for row in rows]


def interpreter_mounts(python: str, prefix: str) -> list[list[Any]]:
    """Return where an environment's interpreter comes from, but for the system's own, which the image has."""
    real = os.path.dirname(os.path.dirname(os.path.realpath(python)))
    named = os.path.dirname(os.path.dirname(os.readlink(python))) if os.path.islink(python) else real
    there = (prefix + "/", "/usr/")
    return [
        [real, place, True]
        for place in (real, named)
        if os.path.isabs(place) and not (place + "/").startswith(there)
    ]


def distinct(mounts: list[list[Any]]) -> list[list[Any]]:
    """Return the mounts, the first where several have one target."""
    found: dict[str, list[Any]] = {}
    for mount in mounts:
        found.setdefault(mount[1], mount)
    return list(found.values())


def _mount(source: str, target: str, locked: bool) -> str:
    fields = ["type=bind", "source=" + source, "target=" + target, *(["readonly"] if locked else [])]
    return ",".join(fields)
