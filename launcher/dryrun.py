"""The plan of a run in words: everything that would happen, and nothing touched."""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from launcher.agent.base import container_argv
from launcher.agent.base.slurm_facts import agents_argv
from launcher.compute.batch import array_key
from launcher.compute.docker import Docker, groups_in, user_in
from launcher.compute.scheduler import JobRequest
from launcher.compute.slurm.target import Slurm
from launcher.credentials import hide
from launcher.environment import Current, Image, Packages
from launcher.environment.cache.folder import entry_of as folder_of
from launcher.environment.recipe.frameworks import choose
from launcher.legend import legend
from launcher.paths import StoreFolder, cache_root
from launcher.spec import plain

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping, Sequence

    from launcher.plan import Plan
    from launcher.spec import Facts, LaunchRequest, RunSpec

_PULL = {"missing": "pulled if it is missing", "always": "pulled", "never": "not pulled"}


class Member(Protocol):
    """A run that is to be described."""

    @property
    def request(self) -> LaunchRequest: ...  # noqa: D102
    @property
    def plan(self) -> Plan: ...  # noqa: D102
    @property
    def facts(self) -> Facts: ...  # noqa: D102


def describe(request: LaunchRequest, plan: Plan) -> Iterator[str]:
    """Yield the lines of a dry run; placeholders `@{…}` are filled on the node."""
    spec = request.spec
    yield f"experiment    {shlex.quote(spec.name)}"
    yield f"store         {shlex.quote(str(request.store))}"
    yield f"source        {shlex.quote(str(spec.source))}"
    compute = plain(spec.compute)
    boxed = compute.pop("container", {})
    yield f"compute       {_options(compute)}"
    if boxed.get("image"):
        yield f"container     {_options(boxed)}"
    yield f"framework     {spec.framework.name} {_version(spec) or ''}".rstrip()
    environment = plain(spec.environment)
    login = _options(environment.pop("registry", {}))
    yield f"environment   {_options(environment)}"
    if login:
        yield f"registry      {login}"
    yield f"distribution  {_options(plain(spec.distribution))}"
    yield f"data          {_options(plain(spec.data)) or 'none'}"
    yield f"resources     {_options(plain(spec.resources))}"
    if spec.retries:
        yield f"retries       {spec.retries}"
    if spec.cwd:
        yield f"cwd           {spec.cwd}"
    if spec.stdin:
        yield f"stdin         {spec.stdin}"
    if plan.mpi is not None:
        yield "mpirun"
        yield f"  {shlex.join([*plan.mpi.argv, *plan.mpi.program])}"
        yield from _environment({**plan.mpi.env, **spec.env})
        return
    yield f"processes     {len(plan.processes)} on {plan.nodes} node(s)"
    for process in plan.processes:
        rank = f"rank {process.rank}, local rank {process.local_rank}" if process.rank >= 0 else "no rank"
        gpus = f", GPUs: {process.gpus}" if spec.resources.gpus_per_node else ""
        yield f"{process.name}  node {process.node}, {rank}{gpus}"
        yield f"  {shlex.join(process.argv)}"
        yield from _environment({**spec.env, **process.env})
    if plan.ends_with:
        yield f"ends with     {', '.join(plan.ends_with)}"


def describe_environment(request: LaunchRequest, facts: Facts) -> Iterator[str]:
    """Yield Python and packages of an environment of this machine, and whether it has been built."""
    spec, wish = request.spec, request.spec.environment
    if isinstance(wish, Current):
        yield f"python        {shlex.quote(sys.executable)}, with what is installed in it"
    if not isinstance(wish, Packages) or isinstance(spec.compute, Docker):  # see `_image`
        return
    with (
        tempfile.TemporaryDirectory() as folder
    ):  # remembers what interpreters answer; nothing else is touched
        recipe = wish.recipe(spec, facts, Path(folder))
    key = recipe.key()
    if recipe.interpreter is None:
        yield f"python        {wish.python or 'the version that the packages ask for'}, from conda"
    else:
        yield f"python        {shlex.quote(recipe.interpreter.path)}, {recipe.interpreter.version}"
    yield f"packages      {shlex.join(recipe.summary()) or 'none'}"
    place = folder_of(cache_root(), key)
    there = place.prepared()
    where = "by its job" if wish.build_on == "job" else "before the run is handed over"
    yield f"built         {shlex.quote(there.prefix) if there is not None else f'no: to be built {where}'}"


def describe_all(members: Sequence[Member]) -> Iterator[str]:
    """Yield all that a launch of these members would do, then what the placeholders mean."""
    plan: list[str] = []
    launch: list[str] = []
    for member in members:
        lines = list(describe(member.request, member.plan))
        lines += describe_environment(member.request, member.facts)
        boxes = list(describe_boxes(member.request, member.plan, member.facts))
        plan += lines
        launch += boxes
        yield from (*lines, *boxes)
    jobs = list(describe_jobs([(member.request, member.plan) for member in members]))
    yield from (*jobs, *legend(plan, [*launch, *jobs]))


def describe_jobs(members: Sequence[tuple[LaunchRequest, Plan]]) -> Iterator[str]:
    """Yield the scripts that sbatch would get, one for the members of a sweep that share an array.

    What only a launch knows stands in capitals: the run's number `N`, the agent's `DIGEST`, the sweep's `ID`.
    """
    groups: dict[str, list[tuple[Slurm, StoreFolder, dict[str, Any]]]] = {}
    counts: dict[str, int] = {}
    for request, plan in members:
        options, store = request.spec.compute, StoreFolder(request.store)
        if not isinstance(options, Slurm):
            continue
        target = repr((options, store.root))
        counts[target] = counts.get(target, 0) + 1
        spec = {**plain(request.spec), "plan": plain(plan), "id": f"{request.spec.name}/N"}
        groups.setdefault(f"{target}\0{array_key(spec)}", []).append((options, store, spec))
    for key, group in groups.items():
        options, store, spec = group[0]
        several = counts[key.partition("\0")[0]] > 1
        folder = store.experiment(spec["name"]) / "N" / "job"
        if several:
            folder = store.sweeps / "ID" / "jobs" / "K"
        scheduler = options.scheduler()
        request = JobRequest(
            spec=spec, folder=folder, agent=store.agents / "DIGEST", command="job",
            members=len(group) if several else None,
        )  # fmt: skip
        yield shlex.join([scheduler.program, str(folder / "job.sh")])
        yield from (f"  {line}".rstrip() for line in scheduler.render(request).splitlines())
        yield from _containers(spec, store, options)
        others = spec["resources"]["nodes"] - 1
        if others:
            yield "agents of the other nodes"
            yield f"  {shlex.join(agents_argv(plain(options), others))} python DIGEST node slurm"


def _containers(spec: Mapping[str, Any], store: StoreFolder, options: Slurm) -> Iterator[str]:
    """Yield how the processes of a run get into the container of their node.

    `BOX` is the attempt's name on a node, `GPUS` are those that Slurm gave to the job there.
    """
    mine: dict[str, Any] = plain(options.container)
    prefix = "" if spec["environment"]["kind"] == "current" else "@{prefix}"
    box = _box(mine, spec, store, "BOX", prefix)
    if box is None:
        return
    run = store.experiment(spec["name"]) / "N"
    box["gpus"] = ["GPUS"] if spec["resources"]["gpus_per_node"] or options.gres else []
    if container_argv.is_kept(mine):
        yield "container of each node"
        yield f"  {shlex.join(container_argv.start_argv(box, (os.getuid(), os.getgid()), 'AGENT'))}"
    yield "each process in it"
    line = container_argv.enter_argv(
        box, ["TMP/BOX/end-NAME", f"{run}/attempts/0/logs/NAME.log", f"{run}/work/0", "PROGRAM…"]
    )
    yield f"  {shlex.join(line)}"


def describe_boxes(request: LaunchRequest, plan: Plan, facts: Facts) -> Iterator[str]:
    """Yield the image of a run, and the containers of its nodes as lines of docker, with what runs in them.

    In capitals is what only a launch knows: the run's number `N`, digests and the image's `KEY`, the names
    `BOX0`, … and `NET`, the free `GPUS`, who started them (`AGENT`, `TOKEN`), what mpirun wants to be started
    on other nodes (`DAEMON`).
    """
    options = request.spec.compute
    if not isinstance(options, Docker):
        return
    image = yield from _image(request.spec, options, facts)
    yield from _boxes(request, plan, facts, image)


def _image(spec: RunSpec, options: Docker, facts: Facts) -> Generator[str, None, str]:
    """Yield where the image comes from; return its name."""
    pulled = _PULL[str(options.pull)]
    if isinstance(spec.environment, Image):
        name = str(spec.environment.image)
        yield f"image         {name}, {pulled}"
        return name
    if not isinstance(spec.environment, Packages):
        return ""
    from launcher.environment.build.image_build import (  # noqa: PLC0415
        MPI_PACKAGES,
        REPOSITORY,
        base_of,
        layers,
        uses_mpi,
    )

    wish = spec.environment
    base, name = base_of(wish, spec), f"{wish.push or REPOSITORY}:KEY"
    apt = {*wish.apt_packages, *(MPI_PACKAGES if uses_mpi(spec, facts) else ())}
    yield f"image         {name}, built unless it is there; its base image is {pulled}"
    yield from (f"  {hide(line)}" for line in layers(base, sorted(apt), wish.dockerfile_lines))
    if apt - set(wish.apt_packages):
        yield f"  # {' '.join(MPI_PACKAGES)} only if the base image has no mpirun"
    yield from _installed(wish, spec, facts)
    if wish.push:
        yield "pulled from its registry instead if it is there, else pushed"
        yield f"  docker push {name}"
    return name


def _installed(wish: Packages, spec: RunSpec, facts: Facts) -> Iterator[str]:
    """Yield what is installed on top, and tried."""
    from launcher.environment.build.image_build import HOROVOD_PACKAGES  # noqa: PLC0415

    recipe = wish.recipe(spec, replace(facts, cxx=None), cache_root(), on_host=False)
    conda, lines, argv = recipe.conda, [*recipe.requirements], ["uv", "pip", "install", "--python", "python3"]
    if recipe.horovod is not None:
        lines.append(f"horovod=={recipe.horovod.release.horovod}")
    if conda is not None or lines or recipe.files:
        yield "installed in a container of it, which becomes the image"
    if conda is not None:
        lines += conda.pip
        channels = [word for channel in conda.channels for word in ("--channel", channel)]
        yield f"  {hide(shlex.join(['conda', 'install', *channels, *conda.packages]))}"
    argv += ["--torch-backend", recipe.torch_backend] if recipe.torch_backend else []
    files = [word for path in recipe.files for word in ("-r", str(path))]
    if lines or files:
        yield f"  {hide(shlex.join([*argv, *lines, *files]))}"
    if recipe.horovod is not None:
        more = "" if recipe.gpu else f", with {' '.join(HOROVOD_PACKAGES)}"
        yield f"  # horovod is compiled in another container{more}, unless its wheel is kept"
    if recipe.modules:
        yield f"  python3 -c {shlex.quote('import ' + ', '.join(recipe.modules))}"


def _boxes(request: LaunchRequest, plan: Plan, facts: Facts, image: str) -> Iterator[str]:
    from launcher.engine.boxes import run_line  # noqa: PLC0415
    from launcher.engine.made import OWNER, RUN, TOKEN  # noqa: PLC0415

    spec: dict[str, Any] = {**plain(request.spec), "plan": plain(plan), "id": f"{request.spec.name}/N"}
    store = StoreFolder(request.store)
    run = store.experiment(request.spec.name) / "N"
    mine = container_argv.of(spec["compute"], {"image": image})
    labels = {RUN: spec["id"], OWNER: "AGENT", TOKEN: "TOKEN"}
    if plan.nodes > 1:
        yield "network of the run"
        told = [f"--label={name}={value}" for name, value in labels.items()]
        yield f"  {shlex.join(['docker', 'network', 'create', '--driver=bridge', *told, 'NET'])}"
    for node in range(plan.nodes):
        name = f"BOX{node}"
        box = _box(mine, spec, store, name)
        assert box is not None, "checked"  # noqa: S101
        box.update(container_argv.engine_part(mine, spec, "", node), labels=labels)
        box.update(user=user_in(facts.engine), groups=groups_in(facts.engine))
        box.update(fifo=f"TMP/{name}/alive", network="NET" if plan.nodes > 1 else None)
        box.update(remapped=facts.engine is not None and facts.engine.remapped)
        box["gpus"] = ["GPUS"] if request.spec.resources.gpus_per_node else []
        yield f"container of {box['hostname']}"
        yield f"  {shlex.join(run_line(box))}"
        for process, log, argv in _processes(plan, node):
            words = [f"TMP/{name}/end-{process}", f"{run}/attempts/0/logs/{log}.log", f"{run}/work/0", *argv]
            stub = box["agent"] + "/containers/enter.sh"
            yield f"  {shlex.join(['docker', 'exec', name, 'sh', stub, *words])}"


def _processes(plan: Plan, node: int) -> Iterator[tuple[str, str, Sequence[str]]]:
    """Yield name, log and argv of what is started in the container of a node."""
    if plan.mpi is None:
        yield from ((each.name, each.name, each.argv) for each in plan.processes if each.node == node)
    elif node == 0:
        yield "mpirun-0", "mpirun-0", (*plan.mpi.argv, *plan.mpi.program)
    else:
        yield f"daemon-{node}", "mpirun-0", ("sh", "-c", "DAEMON")


def _box(
    mine: dict[str, Any], spec: Mapping[str, Any], store: StoreFolder, name: str, prefix: str = ""
) -> dict[str, Any] | None:
    """Return what a node is told of its container, None where there is none."""
    run = store.experiment(spec["name"]) / "N"
    data = [f"@{{data.{each}}}" for each in spec["data"].get("inputs") or ()]
    links: list[str] = [os.path.realpath(f"{spec['source']}/{path}") for path in spec["links"]]
    told = container_argv.wanted(mine, str(run), spec["id"], {"prefix": prefix}, data, links)
    if told is None:
        return None
    agent = str(store.agents / "DIGEST" / "agent")
    locked = [str(store.snapshots / "DIGEST"), agent, prefix, *data]
    mounts = [*container_argv.own_mounts(mine), [str(run), str(run), False]]
    mounts += [[path, path, True] for path in locked if path]
    mounts += [[path, path, False] for path in (*links, f"TMP/{name}")]
    return {**told, "name": name, "pidfile": f"TMP/{name}/box.pid", "agent": agent, "mounts": mounts}


def _version(spec: RunSpec) -> str | None:
    release = choose(spec.framework) if spec.environment.kind == "packages" else None
    return release.version if release is not None else spec.framework.version


def _environment(env: Mapping[str, str]) -> Iterator[str]:
    return (f"  {key}={shlex.quote(value)}" for key, value in env.items())


def _options(options: dict[str, Any]) -> str:
    """Return options as words that a shell and a command line of the launcher take."""
    words = [hide(word) for word in _words({key: it for key, it in options.items() if key != "kind"})]
    return " ".join([str(options.get("kind", "")), *map(shlex.quote, words)]).strip()


def _words(options: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    empty: tuple[object, ...] = (None, [], {}, "")
    for key, value in options.items():
        if isinstance(value, dict):
            yield from _words(cast("dict[str, Any]", value), f"{prefix}{key}.")
        elif value not in empty:
            yield f"{prefix}{key}={_text(value)}"


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{','.join(map(_text, cast('list[object]', value)))}]"
    return str(value)
