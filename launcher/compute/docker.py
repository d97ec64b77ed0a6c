"""`compute=docker`: the nodes of a run are containers of this machine's engine."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import uuid4

from launcher.capabilities import Capabilities
from launcher.compute.containers import MPI, check_mounts, groups_in, login_in, user_in
from launcher.compute.host import with_gpus
from launcher.compute.local_supervisor import hand_over
from launcher.compute.machine import check_containers
from launcher.errors import EngineError, Problem, SubmitError
from launcher.paths import RunFolder, cache_root
from launcher.spec import State
from launcher.store import records
from launcher.store.runs import finish
from launcher.streams import is_utf8

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from launcher.capabilities import Row
    from launcher.facts import Engine, Facts
    from launcher.plan import Plan
    from launcher.session import Session
    from launcher.spec import LaunchRequest, RunSpec

LEAST_MEMORY_MIB = 6
"""Less the engine refuses."""


class Pull(StrEnum):
    """When images are brought from their registry."""

    missing = "missing"
    always = "always"
    never = "never"


@dataclass(frozen=True, kw_only=True)
class Docker:
    """Containers of this machine, one a node; the engine is that of DOCKER_HOST or of the docker context."""

    kind: ClassVar[str] = "docker"

    max_parallel: int | None = None
    """Members of a sweep that run side by side; null: one for each CPU."""
    pull: Pull = Pull.missing
    """Whether an image is brought from its registry: where it is `missing`, `always`, or `never`."""
    mounts: list[str] = field(default_factory=list[str])
    """`SRC:DST` or `SRC:DST:ro`. The run, its source and its data are there anyway."""
    shm_size_gib: float = 2.0
    """Shared memory of a node, as PyTorch's data loaders need it."""
    mpi: str | None = None
    """MPI in the image with its version, such as `openmpi 4.1`. null: what the image tells, and Open MPI 4
    while it is not here yet."""
    capabilities: list[str] = field(default_factory=list[str])
    """To be added, such as `SYS_PTRACE`."""
    devices: list[str] = field(default_factory=list[str])
    """Of this machine, such as `/dev/infiniband`."""
    ulimits: dict[str, int] = field(default_factory=dict[str, int])
    """Such as `memlock: -1`."""

    @property
    def features(self) -> Capabilities:
        """See `Compute.features`."""
        return Capabilities(one_queue=True, images=True, pull=str(self.pull), containers=True)

    def probe(self, spec: RunSpec, facts: Facts, session: Session | None) -> Facts:
        """See `Compute.probe`."""
        from launcher.compute.docker_facts import read_facts  # noqa: PLC0415  # other targets do without

        return read_facts(spec, self.mpi, with_gpus(spec, facts), session)

    def check(self, spec: RunSpec, facts: Facts) -> Iterable[Problem]:
        """See `Compute.check`."""
        yield from self._options()
        yield from check_containers(spec, facts)
        if spec.environment.traits.own_python:
            hint = "Choose environment=packages, from which an image is built, or environment=image"
            yield Problem("environment", "current", "an image with compute=docker", hint)
        for key, text in _texts(spec):
            if not is_utf8(text):
                yield Problem(key, text, "a text in UTF-8, which is all that a container engine takes")
        wanted = spec.resources.nodes * spec.resources.gpus_per_node
        if wanted > len(facts.gpus):
            there = f"at most {len(facts.gpus)} in all: this machine has that many GPUs"
            yield Problem("gpus_per_node", spec.resources.gpus_per_node, there, "Try gpus_per_node=0")
        if facts.engine is not None:
            yield from _engine(spec, facts.engine)

    def _options(self) -> Iterator[Problem]:
        yield from check_mounts("compute.mounts", self.mounts)
        for index, mount in enumerate(self.mounts):
            source = mount.partition(":")[0]
            if source.startswith("/") and not Path(source).exists():
                yield Problem(f"compute.mounts[{index}]", mount, f"a source that exists: {source} does not")
        if self.mpi is not None and not MPI.fullmatch(self.mpi):
            yield Problem("compute.mpi", self.mpi, "flavour and version, such as 'openmpi 4.1'")

    def describe(self, request: LaunchRequest, plan: Plan, facts: Facts) -> Iterable[str]:
        """See `Compute.describe`."""
        from launcher.compute.describe_docker import describe  # noqa: PLC0415  # no launch needs it

        return describe(request, plan, facts)

    def describe_jobs(self, members: Sequence[tuple[LaunchRequest, Plan]]) -> Iterable[str]:
        """See `Compute.describe_jobs`. There is no scheduler."""
        del members
        return ()

    def check_rows(
        self, request: LaunchRequest, timeout_s: float, say: Callable[[str], None]
    ) -> Iterator[Row]:
        """See `Compute.check_rows`."""
        from launcher.compute.check_docker import rows  # noqa: PLC0415  # no launch needs it

        del timeout_s, say
        return rows(request)

    def submit(self, folders: Sequence[Path], store: Path, facts: Facts, session: Session) -> None:
        """See `Compute.submit`. One supervisor serves all of them, with one way to the engine.

        Raises:
            SubmitError: the engine does not see the store; the runs have ended as Failed.
        """
        from launcher.engine.helper import Helper  # noqa: PLC0415  # other targets do without

        known = facts.engine
        assert known is not None, "probed"  # noqa: S101
        _check_sight(known, [RunFolder(folder) for folder in folders])
        voice = session.open(Helper)
        pipes = voice.take()
        engine: dict[str, Any] = {
            "python": sys.executable,
            "code": voice.code,
            # Its own for each supervisor: what one has made is removed as it ends.
            "token": voice.token if pipes else uuid4().hex,
            "pipes": pipes,
            "user": user_in(known),
            "groups": groups_in(known),
            "login": login_in(known),
            "remapped": known.remapped,
        }
        parallel = self.max_parallel or facts.cpus
        try:
            hand_over(folders, store, max_parallel=parallel, gpus=list(facts.gpus), engine=engine)
        finally:
            for pipe in pipes:
                os.close(pipe)


def _texts(spec: RunSpec) -> Iterator[tuple[str, str]]:
    """Yield what the engine gets, with its key."""
    yield "script", spec.script or ""
    yield from (("command", text) for text in spec.command)
    yield from (("args", text) for text in spec.args)
    yield from ((f"env.{name}", text) for name, text in spec.env.items())


def _check_sight(engine: Engine, runs: Sequence[RunFolder]) -> None:
    image = str((records.read(runs[0].submit) or {})["environment"]["image"])
    place = f"{engine.address}\0{runs[0].root.parents[2]}"
    memory = cache_root() / "engines" / sha256(os.fsencode(place)).hexdigest()[:20]
    if memory.exists():
        return
    from launcher.engine.client import connect  # noqa: PLC0415
    from launcher.engine.sight import check_sight  # noqa: PLC0415  # imports the SDK

    try:
        check_sight(connect(), image, runs[0].root, memory)
    except EngineError as error:
        cause = {"kind": "submit", "phase": str(State.QUEUED), "message": str(error)}
        for run in runs:
            finish(run, State.FAILED, cause)
        raise SubmitError(str(error)) from error


def _engine(spec: RunSpec, engine: Engine) -> Iterator[Problem]:
    """Return what this engine cannot do."""
    if engine.problem:
        yield Problem("compute", "docker", "a container engine", engine.problem)
        return
    if engine.elsewhere:
        hint = f"{engine.address}: {engine.elsewhere}"
        yield Problem("compute", "docker", "an engine of this machine, which sees the store", hint)
    resources = spec.resources
    wanted = resources.processes_per_node * (resources.cpus_per_process or 0)
    if wanted > engine.cpus:
        given = resources.cpus_per_process
        yield Problem(
            "cpus_per_process", given, f"at most {engine.cpus} CPUs for a node, which the engine has"
        )
    if resources.memory_gib is not None:
        memory = resources.memory_gib * 1024
        most = engine.memory_mib or memory
        if not LEAST_MEMORY_MIB <= memory <= most:
            expected = f"a node's memory from {LEAST_MEMORY_MIB / 1024:.3f} to {most / 1024:.4g} GiB"
            yield Problem("memory_gib", resources.memory_gib, expected)
