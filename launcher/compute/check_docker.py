"""`launcher compute check` for the container engine of this machine; nothing is started in it."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from launcher.capabilities import BAD, OK, WARN, Row
from launcher.compute.check_rows import background, free_gib, writable
from launcher.compute.host import cpu_count, read_gpus
from launcher.engine.about import About, ask, chosen_by, registries, sdk_version
from launcher.engine.client import INSTALL, read_engine
from launcher.errors import EngineError
from launcher.facts import Facts
from launcher.paths import cache_root

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping

    from launcher.facts import Engine
    from launcher.spec import LaunchRequest, Resources, RunSpec

LOW_GIB = 10.0
"""An image with a framework takes some of that."""
ANOTHER = "Choose an engine of this machine: docker context use, DOCKER_CONTEXT or DOCKER_HOST"
GPU_HOOK = "nvidia-container-runtime-hook"
"""What dockerd calls for containers with GPUs, if it is on its PATH; of that it tells nobody."""


def rows(request: LaunchRequest) -> Iterator[Row]:
    """Yield what the engine has and what it can."""
    version = sdk_version()
    if version is None:
        yield Row("SDK", BAD, "the Docker SDK for Python is missing", INSTALL)
        return
    yield Row("SDK", OK, f"docker {version}")
    spec, store = (
        request.spec,
        writable("store", request.store, "Choose another: store=DIR, or LAUNCHER_STORE"),
    )
    engine = read_engine()
    # Not a probe's: that looks into images, and before a launch it starts what a supervisor takes.
    facts = Facts(cpus=cpu_count(), gpus=read_gpus(), engine=engine)
    if engine.problem:
        yield Row("engine", BAD, engine.problem, "Start it, or name another: DOCKER_HOST, DOCKER_CONTEXT")
        yield store
        return
    if engine.elsewhere:
        yield Row("engine", BAD, f"{engine.address} ({chosen_by()}): {engine.elsewhere}", ANOTHER)
        yield store
        return
    yield Row("engine", OK, f"{engine.address} ({chosen_by()}), version {engine.version}")
    yield from _options(spec, facts)
    yield store
    try:
        with _marks([request.store, cache_root(), Path(tempfile.gettempdir())]) as folders:
            about = ask(list(folders))
    except (EngineError, OSError) as error:
        yield Row("engine", BAD, str(error), "Check again")
        return
    yield from engine_rows(spec.resources, facts, about, folders)
    yield writable("cache", cache_root(), "Choose another: LAUNCHER_CACHE")
    yield background()


def engine_rows(
    resources: Resources, facts: Facts, about: About, folders: Mapping[Path, Path]
) -> Iterator[Row]:
    """Yield what the engine has told.

    Args:
        resources: that are asked for.
        facts: of the probe, also about GPUs.
        about: what it tells of itself.
        folders: by the files that it was asked whether it sees.
    """
    assert facts.engine is not None, "probed"  # noqa: S101
    yield _machine(about)
    yield _sees(about, folders)
    yield from _sizes(resources, facts.engine, about)
    yield _gpus(resources, facts, about)
    yield _disk(about)
    yield _users(facts.engine)
    yield Row("registries", OK, f"logged in at {', '.join(registries()) or 'none'}")
    yield _leftovers(about)


@contextmanager
def _marks(folders: Iterable[Path]) -> Generator[dict[Path, Path]]:
    """Give a file in each folder, or in the nearest one above it that is there, with the folder's name."""
    made: dict[Path, Path] = {}
    try:
        for folder in folders:
            there = next(parent for parent in (folder, *folder.parents) if parent.exists())
            mark = there / f".launcher-check-{uuid4().hex[:8]}"
            mark.touch(0o600)
            made[mark] = folder
        yield made
    finally:
        for mark in made:
            mark.unlink(missing_ok=True)


def _options(spec: RunSpec, facts: Facts) -> Iterator[Row]:
    for problem in spec.compute.check(spec, facts):
        if problem.key.startswith("compute."):  # other rows tell of the others
            yield Row("options", BAD, f"{problem.key}={problem.given}", f"Expected {problem.expected}")


def _machine(about: About) -> Row:
    here = os.uname().release
    if about.kernel != here:
        found = f"{about.machine}, kernel {about.kernel}; here it is {here}"
        return Row("machine", BAD, f"it runs on another: {found}", ANOTHER)
    return Row("machine", OK, f"this one, as far as its kernel tells ({about.machine}, {here})")


def _sees(about: About, folders: Mapping[Path, Path]) -> Row:
    """Return whether it sees what is lent to containers: store, cache, TMPDIR."""
    if about.unseen is None:
        found = "this engine tells only containers whether it sees store and cache: not looked at"
        return Row("folders", WARN, found, "A small run tells: python -m launcher compute=docker …")
    unseen = [str(folders[mark]) for mark in about.unseen]
    if unseen:
        step = "Choose others: store=DIR, LAUNCHER_CACHE, TMPDIR; or another engine"
        return Row("folders", BAD, f"the engine does not see {', '.join(unseen)}", step)
    return Row("folders", OK, f"the engine sees {', '.join(map(str, folders.values()))}")


def _sizes(resources: Resources, engine: Engine, about: About) -> Iterator[Row]:
    wanted = resources.processes_per_node * (resources.cpus_per_process or 0)
    found = f"{engine.cpus} for each node"
    if wanted > engine.cpus:
        yield Row("CPUs", BAD, f"{found}, {wanted} asked for", "Ask for fewer: cpus_per_process")
    else:
        yield Row("CPUs", OK, found)
    found, memory = f"{engine.memory_mib / 1024:.1f} GiB", resources.memory_gib or 0.0
    if memory * 1024 > engine.memory_mib > 0:
        yield Row("memory", BAD, f"{found}, {memory:g} GiB asked for", "Ask for less: memory_gib")
    else:
        yield Row("memory", OK, f"{found}, shared by all")
    if about.lacks:
        found = f"its kernel cannot limit {' and '.join(about.lacks)}"
        yield Row("limits", WARN, found, "Runs may take more than memory_gib and cpus_per_process say")


def _gpus(resources: Resources, facts: Facts, about: About) -> Row:
    wanted, there = resources.nodes * resources.gpus_per_node, len(facts.gpus)
    found = f"{there} ({', '.join(facts.gpus)})" if there else "none"
    if wanted > there:
        return Row("GPUs", BAD, f"{found}, {wanted} asked for", "Try gpus_per_node=0; nvidia-smi tells more")
    if not there:
        return Row("GPUs", OK, found)
    if "nvidia" in about.runtimes:
        return Row("GPUs", OK, f"{found}; the engine has NVIDIA's runtime")
    if any(device.startswith("nvidia.com/") for device in about.devices):
        return Row("GPUs", OK, f"{found}; the engine lists them (CDI)")
    if shutil.which(GPU_HOOK):
        return Row("GPUs", OK, f"{found}; {GPU_HOOK} is here, and the engine tells no more")
    step = "Install the NVIDIA Container Toolkit, then: nvidia-ctk runtime configure --runtime=docker"
    return Row("GPUs", BAD if wanted else WARN, f"{found}; nothing tells that the engine can give them", step)


def _disk(about: About) -> Row:
    root = Path(about.root)
    try:
        free = free_gib(root)
    except OSError:
        found = f"{root} ({about.driver}) is not seen from here: not looked at"
        return Row("disk", WARN, found, "docker system df tells what it holds")
    found = f"{root} ({about.driver}), {free:.0f} GiB free"
    if free < LOW_GIB:
        return Row("disk", WARN, found, "python -m launcher env prune; docker system df tells what it holds")
    return Row("disk", OK, found)


def _users(engine: Engine) -> Row:
    if engine.rootless:
        return Row("users", OK, "rootless: in containers you are root, and files are yours")
    if engine.remapped:
        return Row("users", OK, "userns-remap: containers of runs have this machine's users all the same")
    return Row("users", OK, f"in containers you are {os.getuid()}:{os.getgid()}, and files are yours")


def _leftovers(about: About) -> Row:
    if not about.abandoned:
        return Row("leftovers", OK, "none")
    counts = {kind: sum(each.kind == kind for each in about.abandoned) for kind in ("container", "network")}
    found = ", ".join(
        f"{count} {kind}s" if count > 1 else f"1 {kind}" for kind, count in counts.items() if count
    )
    return Row("leftovers", WARN, f"{found} of killed supervisors", "python -m launcher compute clean")
