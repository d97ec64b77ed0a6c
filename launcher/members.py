"""From requests to members that are checked and recorded: frozen, not yet prepared."""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from launcher.agent.base.integrity import describe
from launcher.amounts import check_members, check_sweep
from launcher.checks import check
from launcher.errors import ConfigError, Problem
from launcher.paths import StoreFolder
from launcher.probe import probe
from launcher.secrets import named, wanted
from launcher.session import Session
from launcher.store.git import GitQuestion
from launcher.store.ownership import open_cache
from launcher.store.runs import create_run, give_back, reserve
from launcher.store.snapshots import snapshot
from launcher.store.sweeps import NewMember, create_sweep
from launcher.sweep_view import labels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from launcher.config.command_line import CommandLine
    from launcher.facts import Facts
    from launcher.paths import RunFolder
    from launcher.plan import Plan
    from launcher.spec import LaunchRequest, Prepared, Progress, RunSpec
    from launcher.store.run_state import Run
    from launcher.store.snapshots import Snapshot

    Check = Callable[[RunSpec, Facts], Iterable[Problem]]


@dataclass(slots=True)
class Member:
    """One run on its way from request to end."""

    request: LaunchRequest
    facts: Facts
    plan: Plan
    session: Session = field(default_factory=Session)
    folder: RunFolder | None = None
    prepare: Callable[[Progress], Prepared] | None = None
    """Another way to its environment than that of its spec."""
    place: int = 0
    """Its number in the sweep."""
    label: str = ""
    """What sets it apart in its sweep."""
    ready: bool = False
    handed_over: bool = False
    run: Run | None = None


def validate(
    requests: Sequence[LaunchRequest], check: Check = check, session: Session | None = None
) -> list[Member]:
    """Return the members with their facts and plans; everything that `check` finds is raised together.

    Raises:
        ConfigError: with every problem of every member.
    """
    fine: list[tuple[LaunchRequest, Facts]] = []
    problems: dict[str, Problem | str] = {}
    probed: dict[str, Facts] = {}
    session = session or Session()
    live = None if requests[0].dry_run else session
    refuse_sweep(len(requests), requests[0].spec, probed, live)
    for request in requests:
        spec = request.spec
        facts = facts_of(spec, probed, None if request.dry_run else session)
        found = list(check(spec, facts))
        problems.update((str(problem), problem) for problem in found)
        if not found:
            fine.append((request, facts))
    if not problems:
        specs = [request.spec for request in requests]
        problems.update((str(problem), problem) for problem in check_sweep(specs))
    if problems:
        raise ConfigError(list(problems.values()))
    members = [
        Member(each, facts, each.spec.distribution.plan(each.spec, facts), session) for each, facts in fine
    ]
    for index, label in enumerate(labels([request.overrides for request in requests])):
        members[index].place, members[index].label = index, label
    return members


def refuse_sweep(
    count: int, spec: RunSpec, known: dict[str, Facts] | None = None, session: Session | None = None
) -> None:
    """Refuse a sweep of too many members; `spec` is that of its first.

    Raises:
        ConfigError: with the limit.
    """
    if count > 1:
        facts = facts_of(spec, {} if known is None else known, session)
        problems = list(check_members(count, facts))
        if problems:
            raise ConfigError(problems)


def facts_of(spec: RunSpec, known: dict[str, Facts], session: Session | None) -> Facts:
    """Return what the probe finds for a spec, asked once for all specs alike; for the rest see `probe`."""
    gpus = spec.resources.gpus_per_node > 0
    secrets = named(wanted(spec).values())
    versioned = spec.framework.version is not None
    asked = repr((spec.distribution.kind, spec.environment, spec.compute, gpus, secrets, versioned))
    facts = known[asked] = known.get(asked) or probe(spec, session)
    return facts


def record(members: Sequence[Member], sweep: str | None = None, line: CommandLine | None = None) -> None:
    """Freeze source, config and plan of every member in its run folder, then record their sweep.

    Raises:
        ConfigError: a source cannot be frozen.
        StoreError: a store cannot be written, or another user can write to it or to the cache.
    """
    with suppress(OSError):  # a home that cannot be written; not every run needs a cache
        open_cache()
    recorded: dict[Path, list[NewMember]] = {}
    sources: dict[tuple[str, str, tuple[str, ...]], Any] = {}
    free: dict[tuple[str, str], list[RunFolder]] = {}
    try:
        for member in members:
            spec, store = member.request.spec, StoreFolder(member.request.store)
            place = (str(store.root), str(spec.source), spec.links)
            if place not in sources:
                git = GitQuestion(spec.source)  # answers while the tree is walked
                limit = spec.snapshot_limit_mib
                sources[place] = snapshot(spec.source, store, limit, spec.links), git.answer()
                for note in _notes(sources[place][0], spec):
                    print(f"launcher: source: {note}", file=sys.stderr)  # noqa: T201
            name = (str(store.root), spec.name)
            if name not in free:
                count = sum((str(other.request.store), other.request.spec.name) == name for other in members)
                free[name] = reserve(store, spec.name, count)
            tree, git = sources[place]
            member.folder = create_run(
                store,
                spec,
                member.plan,
                config=member.request.config,
                snapshot=tree,
                overrides=member.request.overrides,
                git=git,
                sweep=sweep,
                folder=free[name].pop(0),
            )
            new = NewMember(member.folder, member.request.overrides, member.request.config, tree.digest)
            recorded.setdefault(store.root, []).append(new)
    finally:
        for left in free.values():
            give_back(left)  # of a store that is full by now
    if sweep is not None:
        words = (
            None if line is None else {key: getattr(line, key) for key in ("overrides", "conf", "primary")}
        )
        parallel = members[0].request.spec.compute.max_parallel
        for root, own in recorded.items():
            create_sweep(StoreFolder(root).sweep(sweep), own, words, parallel)


def _notes(tree: Snapshot, spec: RunSpec) -> Iterator[str]:
    """Yield what the person who launches should know of the snapshot."""
    if tree.restored:
        changes = describe(list(tree.restored))
        yield f"an earlier run changed its frozen source, which is restored: {changes}"
    if tree.left_out:
        key = "links" if spec.app is None else "hydra.launcher.links"
        names = [name.rstrip("/") for name in tree.left_out]
        yield (
            f"ignore rules leave out {', '.join(tree.left_out)}. "
            f"{key}=[{','.join(names)}] links what the script needs into its working folder"
        )
