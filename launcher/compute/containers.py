"""Containers on nodes: the options of a cluster's, what is wrong with them, and who runs in them."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pwd import getpwuid
from typing import TYPE_CHECKING

from launcher.errors import Problem
from launcher.facts import Mpi

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from launcher.facts import Engine, Facts
    from launcher.spec import RunSpec

MOUNT = re.compile(r"/[^:,]*:/[^:,]*(:ro)?")
MPI = re.compile(r"(openmpi|mpich|intel) (\d+(\.\d+)*)")


class Runtime(StrEnum):
    """What keeps containers on the nodes."""

    podman = "podman"
    apptainer = "apptainer"
    enroot = "enroot"


@dataclass(frozen=True, kw_only=True)
class Container:
    """A container on each node. The agents stay outside; the processes run in it, as the user who submits."""

    image: str | None = None
    """As the runtime takes it: `registry/name:tag`, a .sif file, a .sqsh file. null: no container. It needs
    `sh`, and for a script that is Python `python3`."""
    runtime: Runtime = Runtime.podman
    mounts: list[str] = field(default_factory=list[str])
    """`SRC:DST` or `SRC:DST:ro`. The run, its source, its environment and its data are there anyway."""
    options: list[str] = field(default_factory=list[str])
    """Further options of `podman run`, such as `--shm-size=8g`."""
    wrap: list[str] | None = None
    """With apptainer and enroot, words before every process, in place of the usual ones.
    `@{image}`; `@{mounts}`, with commas between; `@{mount}` and `@{fstab}`, the word once for each."""
    mpi: str | None = None
    """MPI in the image with its version: `openmpi 4.1`, `mpich 4`, `intel 2021`. null: as on this host."""


def check_container(options: Container, spec: RunSpec) -> Iterator[Problem]:
    """Return what is wrong with the container of a spec."""
    key = "compute.container"
    if not options.image:
        given = {"mounts": options.mounts, "options": options.options, "wrap": options.wrap}
        for name, value in given.items():
            if value:
                yield Problem(f"{key}.image", options.image, f"an image, since {key}.{name} is given")
                return
        return
    yield from check_mounts(f"{key}.mounts", options.mounts)
    kept = options.runtime is Runtime.podman
    if options.wrap is not None and kept:
        hint = f"Choose {key}.runtime=apptainer or enroot, or leave it out"
        yield Problem(f"{key}.wrap", options.wrap, "null: with podman nothing is wrapped", hint)
    elif options.wrap is not None and not any(word.strip() for word in options.wrap[:1]):
        yield Problem(f"{key}.wrap", options.wrap, "words that begin with a program, or null")
    if options.options and not kept:
        yield Problem(f"{key}.options", options.options, "none: they are podman's", f"Use {key}.wrap")
    if options.mpi is not None and not MPI.fullmatch(options.mpi):
        yield Problem(f"{key}.mpi", options.mpi, "flavour and version, such as 'openmpi 4.1'")
    if spec.distribution.needs.srun:
        hint = "Its ranks would run outside of the container"
        yield Problem("distribution.start", "srun", "mpirun with a container", hint)


def check_mounts(key: str, mounts: Iterable[str]) -> Iterator[Problem]:
    """Return what is wrong with mounts, given as `SRC:DST` or `SRC:DST:ro`."""
    targets: set[str] = set()
    for index, mount in enumerate(mounts):
        if not MOUNT.fullmatch(mount):
            expected = "SRC:DST or SRC:DST:ro, both absolute paths without ':' and ','"
            yield Problem(f"{key}[{index}]", mount, expected)
            continue
        target = mount.split(":")[1].rstrip("/")
        if target in targets:
            yield Problem(f"{key}[{index}]", mount, f"one mount at {target or '/'}")
        targets.add(target)


def in_image(options: Container, facts: Facts, *, current: bool) -> Facts:
    """Return facts with what the image has in the place of what this host has.

    Args:
        options: of the container.
        facts: of this host.
        current: whether a process uses the image's own Python: nobody looks into the image, it is taken to
            have what is needed.
    """
    if not options.image:
        return facts
    found = MPI.fullmatch(options.mpi or "")
    mpi = facts.mpi
    if found and not (mpi and mpi.mpirun.startswith("@{")):
        mpi = Mpi(mpirun="mpirun", flavour=found[1], version=found[2])
    elif mpi and not mpi.mpirun.startswith("@{"):  # an environment's own comes along
        mpi = replace(mpi, mpirun="mpirun")
    if not current:
        return replace(facts, mpi=mpi)
    modules = frozenset({"tensorflow", "torch", "horovod", "mpi4py", "sklearn"})
    return replace(facts, mpi=mpi, modules=modules, versions={}, horovod_controllers=("mpi", "gloo"))


def user_in(engine: Engine | None) -> str:
    """Return who the submitter is in containers of an engine: uid and gid."""
    rootless = engine is not None and engine.rootless
    return "0:0" if rootless else f"{os.getuid()}:{os.getgid()}"


def groups_in(engine: Engine | None) -> list[int]:
    """Return the submitter's further groups in containers of an engine, which a rootless one cannot give."""
    rootless = engine is not None and engine.rootless
    return [] if rootless else sorted({*os.getgroups()} - {os.getgid()})


def login_in(engine: Engine | None) -> str:
    """Return the submitter's name in containers of an engine."""
    uid = int(user_in(engine).partition(":")[0])
    try:
        return getpwuid(uid).pw_name
    except KeyError:
        return f"user{uid}"
