"""The plan of a run in words: everything that would happen, and nothing touched."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any, Protocol, cast

from launcher.credentials import hide
from launcher.environment.recipe.frameworks import choose
from launcher.legend import legend
from launcher.spec import plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from launcher.facts import Facts
    from launcher.plan import Plan
    from launcher.spec import LaunchRequest, RunSpec


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


def describe_all(members: Sequence[Member]) -> Iterator[str]:
    """Yield all that a launch of these members would do, then what the placeholders mean."""
    plan: list[str] = []
    launch: list[str] = []
    kinds: dict[str, list[tuple[LaunchRequest, Plan]]] = {}
    for member in members:
        request, compute = member.request, member.request.spec.compute
        kinds.setdefault(compute.kind, []).append((request, member.plan))
        plan += (lines := list(describe(request, member.plan)))
        environment = describe_environment(request, member.facts)
        target = list(compute.describe(request, member.plan, member.facts))
        (launch if compute.features.images else plan).extend(environment)
        launch += target
        yield from (*lines, *environment, *target)
    for alike in kinds.values():
        launch += (jobs := list(alike[0][0].spec.compute.describe_jobs(alike)))
        yield from jobs
    yield from legend(plan, launch)


def describe_environment(request: LaunchRequest, facts: Facts) -> list[str]:
    """Return what the environment tells of itself."""
    return list(request.spec.environment.describe(request.spec.environment_request, facts))


def _version(spec: RunSpec) -> str | None:
    release = choose(spec.framework) if spec.environment.traits.packages else None
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
