"""What the nodes of a Slurm job have, for `launcher compute check`: a conversation in files of one folder.

The launcher's `orders.json` is there before. This side writes `answer.json`, the launcher then `seen.json`,
and this side its answer anew, whole. Each side looks for the other's file before it exists, as one would who
waits: on a network file system that is what makes it late.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import Any, cast

from ..base import atomic_json
from ..base.network import interfaces
from ..base.ports import bind, read_ports
from ..base.slurm_facts import agents_argv
from ..base.tools import full_output
from .slurm import node_gpus

CONNECT_S = 3.0
"""For a connection between two nodes."""

SRUN_S = 25.0
"""For the other node to say all that it has to say."""

_POLL_S = 0.05
_TOOL_S = 8
_ENV = "LAUNCHER_SURVEY"


def survey(folder: str) -> int:
    """Answer the launcher's questions, or those of the first node; return the exit code."""
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # Slurm's word that time is nearly up
    orders = atomic_json.read(os.path.join(folder, "orders.json"))
    if orders is None:
        sys.exit("%s: no orders in %s" % (os.uname().nodename, folder))
    if _ENV in os.environ:
        return _other(orders)
    answer: dict[str, Any] = {"time": time.time(), "done": False}
    path, reply = os.path.join(folder, "answer.json"), os.path.join(folder, "seen.json")
    atomic_json.read(
        reply
    )  # before it can exist: a watcher's first look may come after the launcher's answer
    atomic_json.write(path, answer)
    seen: list[float] = []
    watcher = threading.Thread(target=_await, args=(reply, orders["patience_s"], seen), daemon=True)
    watcher.start()
    answer["nodes"] = [_facts(orders)]
    if orders["nodes"] > 1:
        answer.update(_between(orders, folder))
        answer["nodes"] += [answer.pop("other")] if answer["other"] else []
    watcher.join()
    atomic_json.write(path, dict(answer, seen=seen[0] if seen else None, done=True))
    return 0


def _await(path: str, patience_s: float, seen: list[float]) -> None:
    until = time.monotonic() + patience_s
    while time.monotonic() < until:
        if atomic_json.read(path) is not None:
            seen.append(time.time())
            return
        time.sleep(_POLL_S)


def _facts(orders: dict[str, Any]) -> dict[str, Any]:
    mpirun = shutil.which("mpirun")
    listed = full_output(["nvidia-smi", "--list-gpus"], _TOOL_S).splitlines()
    return {
        "host": os.uname().nodename,
        "python": sys.executable,
        "version": "%d.%d.%d" % sys.version_info[:3],
        "cpus": len(os.sched_getaffinity(0)),
        "mpirun": mpirun,
        "mpirun_version": full_output([mpirun, "--version"], _TOOL_S).partition("\n")[0] if mpirun else "",
        "gpus": node_gpus(),
        "gpu_names": [line.partition(" (UUID")[0] for line in listed if line.startswith("GPU ")],
        "interfaces": [[one.name, one.address] for one in interfaces()],
        "paths": {path: os.path.exists(path) for path in orders["paths"]},
    }


def _between(orders: dict[str, Any], folder: str) -> dict[str, Any]:
    """Start the other node by srun and try every way between the two.

    What it says comes by srun, through Slurm's own network: also where none of the ways works.
    """
    door = _Door(orders)
    argv = [*agents_argv(orders["compute"], 1), sys.executable, "-I", "-S", sys.argv[0], "survey", folder]
    errors = os.path.join(folder, "srun.log")
    with open(errors, "wb") as log:
        popen = subprocess.Popen(
            argv,
            env=dict(os.environ, **{_ENV: json.dumps(door.told())}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
        )
    timer = threading.Timer(SRUN_S, popen.kill)
    timer.start()
    assert popen.stdout is not None  # noqa: S101
    said = _message(popen.stdout.readline())
    there = _ways(said["door"]) if said else []
    timer.cancel()
    popen.terminate()  # and its step with it
    try:
        popen.communicate(timeout=CONNECT_S)
    except subprocess.TimeoutExpired:
        popen.kill()
    if not said:
        with open(errors, "rb") as log:
            words = log.read().decode("utf-8", "replace").strip() or "no word within %d s" % SRUN_S
        return {"other": None, "problem": words.splitlines()[0], "srun": shlex.join(argv)}
    return {"other": said["facts"], "ways": {"here": said["ways"], "there": there}}


def _other(orders: dict[str, Any]) -> int:
    """Be the other node: try the ways to the first, and be there for its tries."""
    door = _Door(orders)
    told = {"door": door.told(), "ways": _ways(json.loads(os.environ[_ENV])), "facts": _facts(orders)}
    print(json.dumps(told), flush=True)
    time.sleep(SRUN_S)  # ended by the first
    return 0


def _message(line: bytes) -> dict[str, Any]:
    try:
        said = json.loads(line)
    except ValueError:
        return {}
    return cast("dict[str, Any]", said) if isinstance(said, dict) else {}


class _Door:
    """Listens on all interfaces and tells its host's name to who comes."""

    def __init__(self, orders: dict[str, Any]) -> None:
        self._socket = bind("", read_ports(orders))
        self._socket.listen(16)
        threading.Thread(target=self._serve, daemon=True).start()

    def told(self) -> dict[str, Any]:
        """Return how to find it."""
        ways = [[one.name, one.address] for one in interfaces()]
        return {"host": os.uname().nodename, "port": self._socket.getsockname()[1], "ways": ways}

    def _serve(self) -> None:
        while True:
            visitor, _ = self._socket.accept()
            with visitor:
                visitor.sendall(os.uname().nodename.encode())


def _ways(door: dict[str, Any]) -> list[list[Any]]:
    """Try all addresses of a door at once; return name, address and seconds, None where there is no way."""
    found: list[list[Any]] = [[name, address, None] for name, address in door["ways"]]

    def knock(way: list[Any]) -> None:
        began = time.monotonic()
        try:
            with socket.create_connection((way[1], door["port"]), timeout=CONNECT_S) as sock:
                host = sock.recv(256).decode()  # such as docker0: every node has this address itself
        except OSError:
            return
        if host == door["host"]:
            way[2] = time.monotonic() - began

    tries = [threading.Thread(target=knock, args=(way,), daemon=True) for way in found]
    for each in tries:
        each.start()
    for each in tries:
        each.join(CONNECT_S + 1)
    return found
