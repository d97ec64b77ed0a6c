"""From the symbolic plan of a run to the exact processes of one attempt."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from ..base import container_argv
from ..base.network import fabric
from ..base.placeholders import expand
from ..base.process_logs import folder_of, mpi_rank, planned_processes, process_name, public_folder
from ..base.tmp import OWN_TMP, attempt_mark, store_id, tmp_name
from ..node import local_env

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..base.record_types import Environment, PlannedProcess, ProcessRecord, Spec, Submit
    from ..messages import PrepareNode, Process, Staging

# mpirun refuses root without being told twice (Open MPI 4 and 5).
_ROOT = {
    name + end: "1"
    for name in ("OMPI_ALLOW_RUN_AS_ROOT", "PRTE_ALLOW_RUN_AS_ROOT")
    for end in ("", "_CONFIRM")
}


_ANY_RANK = mpi_rank(0, 0, 0)  # under mpirun rank.sh says which rank a process is


class Commands:
    """Turns the plan of one attempt into `start` messages, once names, addresses and ports are known."""

    def __init__(self, run: str, attempt: int, spec: Spec, submit: Submit, gpus: list[list[str]]) -> None:
        self.plan = spec["plan"]
        self.logs = folder_of(run, attempt)
        self.values: dict[str, str] = {}
        self._run = run
        self._attempt = attempt
        self.mark = attempt_mark(run, attempt)
        self._spec = spec
        self._environment: Environment | None = None
        self.stage: Staging | None = None
        """What a node's agent needs to bring the environment to its own disk, where that is wanted."""
        linked = [(path, os.path.join(spec["source"], path)) for path in spec.get("links") or ()]
        self.project_links = {path: os.path.realpath(target) for path, target in linked}
        """Paths in the work folder that lead to the source itself, and where it is."""
        self._data = submit.get("data") or {}
        self._gpus = gpus or [[] for _ in range(self.plan["nodes"])]
        self._folder = os.path.join(run, "attempts", str(attempt))
        self._work = os.path.join(run, "work", str(attempt))
        self.srun = self.plan["mpi"] is not None and self.plan["mpi"]["argv"][0] == "srun"
        """Whether ranks are a step of the Slurm job, and no children of any agent."""
        self._container = container_argv.of(spec.get("compute") or {}, {})
        self._devices: dict[int, list[str]] = {}
        self.use(submit.get("environment") or None)
        self.values["run"] = run
        self.values["agent"] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        self.values.update(("data.%s" % name, path) for name, path in self._data.items())

    def use(self, environment: Environment | None) -> None:
        """Take note of the environment; one that goes to the nodes' own disks has another path there."""
        self._container = container_argv.of(self._spec.get("compute") or {}, environment or {})
        if environment is not None and self._container.get("image") and environment.get("key") == "current":
            environment = None  # in a container that is what the image has
        archive = environment.get("archive") if environment is not None else None
        if environment is not None and archive and environment["prefix"]:
            prefix, into = environment["prefix"], local_env.place(environment["prefix"], store_id(self._run))
            environment = local_env.moved(environment, into)
            self.stage = {
                "archive": archive,
                "prefix": prefix,
                "into": into,
                "python": environment["python"],
                "log": os.path.join(self._folder, "node-stage"),
            }
        self._environment = environment
        self.values["python"] = (environment and environment["python"]) or "python3"
        self.values["prefix"] = self._prefix = environment["prefix"] if environment is not None else ""

    @property
    def _in_image(self) -> bool:
        """Whether the environment is an image."""
        return self._environment is not None and bool(self._environment.get("image"))

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
        environment = None if self._in_image else self._environment
        data, links = [*self._data.values()], [*self.project_links.values()]
        found = container_argv.wanted(self._container, self._run, name, environment or {}, data, links)
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
        environment = None if self.stage or self._in_image else self._environment
        own_paths = [] if environment is None else [environment["prefix"], environment["python"]]
        own = [source for source, _, _ in container_argv.own_mounts(self._container)]
        stdin = [path for path in [self._spec.get("stdin")] if path and os.path.isabs(path)]
        linked = self.project_links.values()
        return [self._run, *filter(None, own_paths), *self._data.values(), *linked, *own, *stdin]

    def prepare(self, node: int, ports: tuple[int, int]) -> PrepareNode:
        """Return the message that gets a node ready.

        Args:
            node: its number.
            ports: the range of its ports.
        """
        return {
            "do": "prepare",
            "paths": self.paths(),
            "stage": self.stage,
            "box": self.box(node),
            "names": [name for name, where in self.plan["ports"].items() if where == node],
            "range": list(ports),
            "step": self.srun,
        }

    def records(self, names: list[str]) -> list[ProcessRecord]:
        """Return the record of every process and rank, before its start."""
        public = public_folder(self._run, self._attempt)
        return [
            {
                "role": member["role"],
                "index": member["index"],
                "rank": member["rank"],
                "local_rank": member["local_rank"],
                "node": names[member["node"]],
                "log": os.path.relpath(os.path.join(public, "%s.log" % process_name(member)), self._run),
                "pid": None,
                "started": None,
                "ended": None,
                "exit_code": None,
                "signal": None,
            }
            for member in planned_processes(self.plan)
        ]

    def processes(self) -> list[tuple[int, Process, str | None]]:
        """Return node, process to start, and the port to await after it, in order of start."""
        line = self.plan["mpi"]
        if line is not None:
            mpirun = self._process(0, _ANY_RANK, "node", line["env"], [*line["argv"], *line["program"]])
            return [(0, mpirun, None)]
        return [self._planned(member) for member in self.plan["processes"]]

    def daemon(self, node: int, name: str) -> Process:
        """Return mpirun's daemon on a node, without its command."""
        assert self.plan["mpi"] is not None  # noqa: S101  # it asked
        return self._process(node, _ANY_RANK, "node", self.plan["mpi"]["env"], [], name)

    def _planned(self, member: PlannedProcess) -> tuple[int, Process, str | None]:
        node = member["node"]
        argv, env, gpus = member.get("argv", []), member.get("env", {}), member.get("gpus", "node")
        process = self._process(node, member, gpus, env, argv, process_name(member))
        if member["rank"] == 0 and self._stdin:
            process["stdin"] = self._stdin
            if self._container.get("image"):
                process["env"]["LAUNCHER_STDIN"] = self._stdin  # for enter.sh
        return node, process, member.get("ready_port")

    @property
    def _stdin(self) -> str | None:
        """The path of what the process of rank 0 reads."""
        stdin = self._spec.get("stdin")
        return os.path.join(self._work, stdin) if stdin else None

    def _process(  # noqa: PLR0913, PLR0917  # what differs between ranks, mpirun and its daemons
        self,
        node: int,
        member: PlannedProcess,
        gpus: str,
        env: Mapping[str, str],
        argv: Sequence[str],
        name: str = "mpirun-0",
    ) -> Process:
        """Return a process of a node, ready to be started."""
        cwd = self._spec.get("cwd")
        filled = {key: self._fill(value, node) for key, value in env.items()}
        log = "mpirun-0" if name.startswith("daemon-") else name
        return {
            "name": name,
            "argv": [self._fill(part, node) for part in argv],
            "env": {**self._variables(node, member, gpus), **filled},
            "path_prefix": os.path.join(self._prefix, "bin") if self._prefix else None,
            "cwd": os.path.join(self._work, cwd) if cwd else self._work,
            "log": os.path.join(self.logs, "%s.log" % log),
            "frozen": os.path.realpath(os.path.join(self._run, "source")),
            "slurm": self.plan["mpi"] is None or self.srun,
        }

    def _variables(self, node: int, member: PlannedProcess, gpus: str) -> dict[str, str]:
        """Return the launcher's variables of a process, and the run's own."""
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
            env["LAUNCHER_SHIM"] = self._folder
            env["LAUNCHER_METRICS_FOLDER"] = metrics
            env["LAUNCHER_PROCESS_LOGS"] = self.logs
            env["LAUNCHER_RANK_ENDS"] = self._folder
            if self._stdin:
                env["LAUNCHER_RANK_STDIN"] = self._stdin  # for rank.sh
        cpus = self._spec["resources"]["cpus_per_process"]
        if cpus:
            env["OMP_NUM_THREADS"] = str(cpus)
        for name, path in self._data.items():
            env["LAUNCHER_DATA_" + re.sub(r"\W", "_", name).upper()] = path
        if self._environment is not None:
            env.update(self._environment["env"])
        env.update({key: self._fill(value, node) for key, value in self._spec["env"].items()})
        if self.srun:
            tmps = [tmp_name(self.node_mark(each)) for each in range(self.plan["nodes"])]
            env["LAUNCHER_STEP_TMP"] = " ".join(tmps) if env.get("TMPDIR") == OWN_TMP else ""
            env = {name: value for name, value in env.items() if value != OWN_TMP}
        return env

    def _visible(self, node: int, member: PlannedProcess, visibility: str) -> list[str]:
        """Return the GPUs that a process sees; TensorFlow roles on one node share them out."""
        gpus = self._gpus[node]
        if visibility == "none" or not gpus:
            return []
        if visibility == "node":
            return gpus
        mates = [
            (mate["role"], mate["index"])
            for mate in self.plan["processes"]
            if mate["node"] == node and mate.get("gpus") == "process"
        ]
        place = mates.index((member["role"], member["index"]))
        share = len(gpus) // len(mates)
        return gpus[place * share : (place + 1) * share] if share else [gpus[place % len(gpus)]]

    def _fill(self, text: str, node: int = 0) -> str:
        interface = self.values.get("interface.%d" % node, "")
        return expand(
            text, {**self.values, "interface": interface, "devices": ",".join([interface, *fabric()])}
        )
