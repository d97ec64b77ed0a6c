"""From the symbolic plan of a run to the exact processes of one attempt."""

from __future__ import annotations

import os
import re
from typing import Any

from ..base import container_argv, process_logs
from ..base.network import fabric
from ..base.placeholders import expand
from ..base.tmp import OWN_TMP, attempt_mark, store_id, tmp_name
from ..node import local_env

# mpirun refuses root without being told twice (Open MPI 4 and 5).
_ROOT = {
    name + end: "1"
    for name in ("OMPI_ALLOW_RUN_AS_ROOT", "PRTE_ALLOW_RUN_AS_ROOT")
    for end in ("", "_CONFIRM")
}

# Under mpirun the rank stub says which rank a process is.
_ANY_RANK: dict[str, Any] = {"role": "worker", "index": 0, "rank": 0, "local_rank": 0}


class Commands:
    """Turns the plan of one attempt into `start` messages, once names, addresses and ports are known."""

    def __init__(
        self, run: str, attempt: int, spec: dict[str, Any], submit: dict[str, Any], gpus: list[list[str]]
    ) -> None:
        self.plan: dict[str, Any] = spec["plan"]
        self.logs = process_logs.folder_of(run, attempt)
        self.values: dict[str, str] = {}
        self._run = run
        self._attempt = attempt
        self.mark = attempt_mark(run, attempt)
        self._spec = spec
        self._environment: dict[str, Any] = {}
        self.stage: dict[str, Any] | None = None
        """What a node's agent needs to bring the environment to its own disk, where that is wanted."""
        linked: list[str] = spec.get("links") or []
        self.project_links = {path: os.path.realpath(os.path.join(spec["source"], path)) for path in linked}
        """Paths in the work folder that lead to the source itself, and where it is."""
        self._data: dict[str, str] = submit.get("data") or {}
        self._gpus = gpus or [[] for _ in range(self.plan["nodes"])]
        self._shim = os.path.join(run, "attempts", str(attempt))
        self._work = os.path.join(run, "work", str(attempt))
        self.srun = self.plan["mpi"] is not None and self.plan["mpi"]["argv"][0] == "srun"
        """Whether ranks are a step of the Slurm job, and so no children of any agent."""
        self._container = container_argv.of(spec.get("compute") or {}, {})
        self._devices: dict[int, list[str]] = {}
        self.use(submit.get("environment") or {})
        self.values["run"] = run
        self.values["agent"] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        self.values.update(("data.%s" % name, path) for name, path in self._data.items())

    def use(self, environment: dict[str, Any]) -> None:
        """Take note of the environment; one that goes to the nodes' own disks has another path there."""
        self._container = container_argv.of(self._spec.get("compute") or {}, environment)
        if self._container.get("image") and environment.get("key") == "current":
            environment = {}  # in a container that is what the image has
        archive, prefix = environment.get("archive"), environment.get("prefix")
        if archive and prefix:
            into = local_env.place(prefix, store_id(self._run))
            environment = local_env.moved(environment, into)
            self.stage = {"archive": archive, "prefix": prefix, "into": into, "python": environment["python"]}
            self.stage["log"] = os.path.join(self._shim, "node-stage")
        self._environment = environment
        self.values["python"] = environment.get("python") or "python3"
        self.values["prefix"] = environment.get("prefix") or ""

    def node_mark(self, node: int) -> str:
        """Return what the processes of this attempt on one node carry as LAUNCHER_MARK."""
        return "%s#%d" % (self.mark, node)

    def locate(self, node: int, name: str, gpus: list[str] | None) -> None:
        """Take note of a node's name, and of its GPUs where the orders do not name them."""
        self.values["node.%d" % node] = name
        boxed = bool(self._container.get("image")) and container_argv.is_kept(self._container)
        if gpus is not None or boxed:
            self._gpus[node] = self._devices[node] = self._gpus[node] if gpus is None else gpus
        if boxed:
            self._gpus[node] = [str(place) for place, _ in enumerate(self._gpus[node])]  # all that are in it

    def reach(self, node: int, address: str, interface: list[str]) -> None:
        """Take note of where a node is in the network, by which interface, and of its subnet."""
        self.values["host.%d" % node] = address
        self.values["interface.%d" % node], self.values["subnet"] = interface

    def box(self, node: int) -> dict[str, Any] | None:
        """Return what a node is told of its container, None where there is none."""
        name = self._spec["id"]
        environment = {} if self._environment.get("image") else self._environment
        data, links = [*self._data.values()], [*self.project_links.values()]
        found = container_argv.wanted(self._container, self._run, name, environment, data, links)
        if found is None:
            return None
        found["gpus"] = self._devices.get(node, [])
        if self._container["runtime"] == "docker":
            found.update(container_argv.engine_part(self._container, self._spec, self.mark, node))
        return found

    def links(self) -> dict[str, str]:
        """Return the links in the work folder, to inputs and to the project, by their relative paths."""
        data: dict[str, dict[str, dict[str, str]]] = self._spec.get("data") or {}
        inputs = data.get("inputs") or {}
        placed = {about["at"]: self._data[name] for name, about in inputs.items() if about.get("at")}
        return {**self.project_links, **placed}

    def paths(self) -> list[str]:
        """Return what every node has to see before anything is started."""
        elsewhere = self.stage or self._environment.get("image")
        places = [] if elsewhere else [self._environment.get(name) for name in ("prefix", "python")]
        own = [source for source, _, _ in container_argv.own_mounts(self._container)]
        stdin = [path for path in [self._spec.get("stdin")] if path and os.path.isabs(path)]
        linked = self.project_links.values()
        return [self._run, *(place for place in places if place), *self._data.values(), *linked, *own, *stdin]

    def wanted_ports(self, node: int) -> list[str]:
        """Return the names of the ports that must be free on a node."""
        return [name for name, where in self.plan["ports"].items() if where == node]

    def records(self, names: list[str]) -> list[dict[str, Any]]:
        """Return the record of every process and rank, before its start."""
        members: list[dict[str, Any]] = self.plan["processes"]
        if self.plan["mpi"] is not None:
            slots = self.plan["processes_per_node"]
            members = [
                {
                    "role": "worker",
                    "index": rank,
                    "rank": rank,
                    "local_rank": rank % slots,
                    "node": rank // slots,
                }
                for rank in range(self.plan["nodes"] * slots)
            ]
            members.append({"role": "mpirun", "index": 0, "rank": -1, "local_rank": 0, "node": 0})
        keep = ("role", "index", "rank", "local_rank")
        public = process_logs.public_folder(self._run, self._attempt)
        empty: dict[str, Any] = {
            "pid": None,
            "started": None,
            "ended": None,
            "exit_code": None,
            "signal": None,
        }
        return [
            {
                **{key: member[key] for key in keep},
                "node": names[member["node"]],
                "log": os.path.relpath(os.path.join(public, _log_name(member)), self._run),
                **empty,
            }
            for member in members
        ]

    def messages(self) -> list[tuple[int, dict[str, Any], str | None]]:
        """Return node, process to start, and the port to await after it, in order of start."""
        if self.plan["mpi"] is not None:
            return [(0, self._mpirun(), None)]
        return [
            (process["node"], self._process(process), process["ready_port"])
            for process in self.plan["processes"]
        ]

    def daemon(self, node: int, command: str) -> dict[str, Any]:
        """Return the message that starts mpirun's daemon on a node."""
        rest = self._common(node, _ANY_RANK, "node")
        rest["env"].update({key: self._fill(value, node) for key, value in self.plan["mpi"]["env"].items()})
        return dict(rest, do="daemon", command=command, log=os.path.join(self.logs, "mpirun-0.log"))

    def _process(self, process: dict[str, Any]) -> dict[str, Any]:
        message = self._common(process["node"], process, process["gpus"])
        node = process["node"]
        message["env"].update({key: self._fill(value, node) for key, value in process["env"].items()})
        if process["rank"] == 0 and self._stdin:
            message["stdin"] = self._stdin
            if self._container.get("image"):
                message["env"]["LAUNCHER_STDIN"] = self._stdin  # for enter.sh
        argv = [self._fill(part, node) for part in process["argv"]]
        return dict(
            message,
            name="%s-%d" % (process["role"], process["index"]),
            argv=argv,
            log=os.path.join(self.logs, _log_name(process)),
        )

    def _mpirun(self) -> dict[str, Any]:
        line = self.plan["mpi"]
        message = self._common(0, _ANY_RANK, "node")
        message["env"].update({key: self._fill(value) for key, value in line["env"].items()})
        argv = [self._fill(part) for part in [*line["argv"], *line["program"]]]
        return dict(message, name="mpirun-0", argv=argv, log=os.path.join(self.logs, "mpirun-0.log"))

    @property
    def _stdin(self) -> str | None:
        """The path of what the process of rank 0 reads."""
        stdin = self._spec.get("stdin")
        return os.path.join(self._work, stdin) if stdin else None

    def _common(self, node: int, member: dict[str, Any], gpus: str) -> dict[str, Any]:
        """Return where and in what environment a process runs."""
        metrics = os.path.join(self._run, "metrics")
        env = {
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",  # the source is shared and read-only
            "CUDA_VISIBLE_DEVICES": ",".join(self._visible(node, member, gpus)),
            "LAUNCHER_RUN": self._spec["id"],
            "LAUNCHER_RUN_FOLDER": self._run,
            "LAUNCHER_ATTEMPT": str(self._attempt),
            "LAUNCHER_MARK": self.node_mark(node),
            "LAUNCHER_ROLE": member["role"],
            "LAUNCHER_INDEX": str(member["index"]),
            "LAUNCHER_RANK": str(member["rank"]),
            "LAUNCHER_LOCAL_RANK": str(member["local_rank"]),
            "LAUNCHER_NODE": str(node),
            "LAUNCHER_NODES": str(self.plan["nodes"]),
            "LAUNCHER_METRICS": os.path.join(metrics, "%s-%d.jsonl" % (member["role"], member["index"])),
        }
        if self.plan["mpi"] is not None:
            env.update(_ROOT)
            env["TMPDIR"] = OWN_TMP
            env["LAUNCHER_SHIM"] = self._shim
            env["LAUNCHER_METRICS_FOLDER"] = metrics
            env["LAUNCHER_PROCESS_LOGS"] = self.logs
            env["LAUNCHER_RANK_ENDS"] = self._shim
            if self._stdin:
                env["LAUNCHER_RANK_STDIN"] = self._stdin  # for rank.sh
        cwd, cpus = self._spec.get("cwd"), self._spec["resources"]["cpus_per_process"]
        if cpus:
            env["OMP_NUM_THREADS"] = str(cpus)
        for name, path in self._data.items():
            env["LAUNCHER_DATA_" + re.sub(r"\W", "_", name).upper()] = path
        prefix = self._environment.get("prefix")
        env.update(self._environment.get("env") or {})
        env.update({key: self._fill(value, node) for key, value in self._spec["env"].items()})
        if self.srun:
            tmps = [tmp_name(self.node_mark(each)) for each in range(self.plan["nodes"])]
            env["LAUNCHER_STEP_TMP"] = " ".join(tmps) if env.get("TMPDIR") == OWN_TMP else ""
            env = {name: value for name, value in env.items() if value != OWN_TMP}
        return {
            "env": env,
            "path_prefix": os.path.join(prefix, "bin") if prefix else None,
            "cwd": os.path.join(self._work, cwd) if cwd else self._work,
            "frozen": os.path.realpath(os.path.join(self._run, "source")),
            "slurm": self.plan["mpi"] is None or self.srun,
        }

    def _visible(self, node: int, member: dict[str, Any], visibility: str) -> list[str]:
        """Return the GPUs that a process sees; TensorFlow roles on one node share them out."""
        gpus = self._gpus[node]
        if visibility == "none" or not gpus:
            return []
        if visibility == "node":
            return gpus
        mates = [
            (mate["role"], mate["index"])
            for mate in self.plan["processes"]
            if mate["node"] == node and mate["gpus"] == "process"
        ]
        place = mates.index((member["role"], member["index"]))
        share = len(gpus) // len(mates)
        return gpus[place * share : (place + 1) * share] if share else [gpus[place % len(gpus)]]

    def _fill(self, text: str, node: int = 0) -> str:
        interface = self.values.get("interface.%d" % node, "")
        return expand(
            text, {**self.values, "interface": interface, "devices": ",".join([interface, *fabric()])}
        )


def _log_name(member: dict[str, Any]) -> str:
    return "%s-%d.log" % (member["role"], member["index"])
