"""The use case: probe → check → record → prepare → submit → follow, for one run or a whole sweep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from launcher.checks import check
from launcher.dryrun import describe
from launcher.errors import ConfigError, LauncherError, Problem
from launcher.follow import Follower, Stopped, first_log, wait
from launcher.paths import RunFolder, StoreFolder, cache_root
from launcher.probe import probe
from launcher.spec import Facts, LaunchRequest, Prepared, RunSpec, State, plain
from launcher.store.git import GitQuestion
from launcher.store.metrics import last_values
from launcher.store.runs import create_run, enter, finish, request_cancel, reserve, update_submit
from launcher.store.snapshots import snapshot
from launcher.view import View, duration, table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from launcher.plan import Plan
    from launcher.spec import Progress
    from launcher.store.fold import Run

STOPPED_WATCHING = 130
"""Exit code after Ctrl-C, 128 + SIGINT as in a shell."""


@dataclass(slots=True)
class Member:
    """One run on its way from request to end."""

    request: LaunchRequest
    facts: Facts
    plan: Plan
    folder: RunFolder | None = None
    prepare: Callable[[Progress], Prepared] | None = None
    """Another way to its environment than that of its spec."""
    ready: bool = False
    handed_over: bool = False
    run: Run | None = None


@dataclass(frozen=True, slots=True)
class SweepResult:
    """How the members of a sweep ended, in their order."""

    runs: tuple[Run | None, ...]
    """None for a member that was only described (dry run)."""
    objectives: tuple[float | None, ...]
    exit_code: int


def launch(request: LaunchRequest) -> int:
    """Launch one run; return the exit code.

    Raises:
        ConfigError: with every problem, before anything was touched.
    """
    return _launch([request], sweep=None).exit_code


def launch_sweep(requests: Sequence[LaunchRequest]) -> SweepResult:
    """Launch the members of a sweep side by side; one that fails does not hide the others.

    Raises:
        ConfigError: with every problem of every member, before anything was touched.
    """
    return _launch(requests, sweep=uuid4().hex[:12])


def _launch(requests: Sequence[LaunchRequest], sweep: str | None) -> SweepResult:
    members = _checked(requests)
    if requests[0].dry_run:
        for member in members:
            print("\n".join(describe(member.request, member.plan)))  # noqa: T201  # the answer
        return SweepResult((None,) * len(members), (None,) * len(members), 0)
    try:
        _record(members, sweep)
    except KeyboardInterrupt:
        _abandon(members)
        raise
    return run_members(members, sweep)


def run_members(members: Sequence[Member], sweep: str | None) -> SweepResult:
    """Prepare, submit and follow members that are recorded."""
    with View() as view:
        try:
            _prepare(members, view)
            _submit(members)
            if not members[0].request.wait:
                _detached(members, view)
                return SweepResult((None,) * len(members), (None,) * len(members), 0)
            _follow(members, view, sweep)
        except Stopped:
            _detached(members, view)
            return SweepResult((None,) * len(members), (None,) * len(members), STOPPED_WATCHING)
        except KeyboardInterrupt:
            _abandon(members)
            view.say("\nCanceled while preparing; nothing was started.")
            raise
    runs = tuple(member.run for member in members)
    objectives = tuple(_objective(member) for member in members)
    failed = any(run is None or run.state is not State.COMPLETED for run in runs)
    return SweepResult(runs, objectives, int(failed))


def _checked(requests: Sequence[LaunchRequest]) -> list[Member]:
    """Return the members with their facts and plans; everything that is wrong is raised at once."""
    members: list[Member] = []
    problems: dict[str, Problem | str] = {}
    probed: dict[str, Facts] = {}
    for request in requests:
        spec = request.spec
        asked = repr((spec.distribution.kind, spec.environment, spec.resources.gpus_per_node > 0))
        facts = probed[asked] = probed.get(asked) or probe(spec)
        found = list(check(spec, facts))
        problems.update((str(problem), problem) for problem in found)
        if not found:
            members.append(Member(request, facts, spec.distribution.plan(spec, facts)))
    if problems:
        raise ConfigError(list(problems.values()))
    return members


def _record(members: Sequence[Member], sweep: str | None) -> None:
    """Freeze source, config and plan of every member in its run folder."""
    sources: dict[tuple[str, str], Any] = {}
    free: dict[tuple[str, str], list[RunFolder]] = {}
    for member in members:
        spec, store = member.request.spec, StoreFolder(member.request.store)
        place = (str(store.root), str(spec.source))
        if place not in sources:
            git = GitQuestion(spec.source)  # answers while the tree is walked
            sources[place] = snapshot(spec.source, store, spec.snapshot_limit_mib), git.answer()
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


def _prepare(members: Sequence[Member], view: View) -> None:
    """Build what the members need, each environment and data set once; a failure ends its members."""
    done: dict[str, tuple[Prepared, Mapping[str, str]] | LauncherError] = {}
    for member in members:
        folder, spec = _folder(member), member.request.spec
        need = repr(_need(spec, member.facts))
        if need not in done:
            enter(folder, State.PREPARING)
            if len(members) == 1:
                view.phase(folder.id, State.PREPARING)
            try:
                if member.prepare is not None:
                    prepared = member.prepare(view)
                else:
                    prepared = spec.environment.prepare(spec, member.facts, cache_root(), view)
                done[need] = prepared, spec.data.prepare(cache_root(), view)
            except LauncherError as error:
                done[need] = error
        result = done[need]
        if isinstance(result, LauncherError):
            cause = {"kind": "environment", "phase": str(State.PREPARING), "message": str(result)}
            finish(folder, State.FAILED, cause)
        else:
            update_submit(folder, environment=plain(result[0]), data=dict(result[1]))
            member.ready = True


def _need(spec: RunSpec, facts: Facts) -> tuple[Any, ...]:
    """Return all that preparing depends on."""
    gpus = spec.resources.gpus_per_node > 0
    return spec.environment, spec.framework, spec.distribution.kind, gpus, spec.data, facts, spec.source


def _submit(members: Sequence[Member]) -> None:
    """Hand the ready members over, those of one target and store together."""
    groups: dict[tuple[str, str], list[Member]] = {}
    for member in members:
        if member.ready:
            key = (repr(member.request.spec.compute), str(member.request.store))
            groups.setdefault(key, []).append(member)
    for group in groups.values():
        request = group[0].request
        facts = max((member.facts for member in group), key=lambda facts: len(facts.gpus))
        folders = [_folder(member).root for member in group]
        for member in group:
            member.handed_over = True  # before, since Ctrl-C may hit at any moment
        request.spec.compute.submit(folders, request.store, facts)


def _follow(members: Sequence[Member], view: View, sweep: str | None) -> None:
    by_folder = {_folder(member): member for member in members}
    followers: list[Follower] = []
    if sweep is None:
        member = members[0]
        followers = [Follower(_folder(member), view, first_log(plain(member.plan)), phases=1)]
    labels = _labels(members)
    over = 0

    def on_end(run: Run) -> None:
        nonlocal over
        over += 1
        by_folder[run.folder].run = run
        if sweep is not None:
            view.phase(run.id, run.state, f"({over} of {len(members)}) {labels[run.folder]}")

    wait(list(by_folder), view, lambda: [follower.poll() for follower in followers], on_end)
    for follower in followers:
        follower.poll()
        follower.close()
        if members[0].run is not None:
            view.summary(members[0].run, last_values(_folder(members[0])))
    if sweep is not None:
        _tell_sweep(members, view, sweep)


def _tell_sweep(members: Sequence[Member], view: View, sweep: str) -> None:
    labels = _labels(members)
    rows = [("run", "state", "time", "objective", "overrides")]
    for member in members:
        run = member.run
        if run is None:
            continue
        value = _objective(member)
        took = duration(run.ended - run.started) if run.ended and run.started else "-"
        rows.append((run.id, run.state, took, "-" if value is None else f"{value:.6g}", labels[run.folder]))
    view.say()
    for line in table(rows):
        view.say(line)
    for member in members:
        if member.run is not None and member.run.cause is not None:
            view.say(f"{member.run.id}: {member.run.cause.message}")
    view.say(f"sweep {sweep}")


def _detached(members: Sequence[Member], view: View) -> None:
    for member in members:
        view.say(f"{_folder(member).id}  submitted")
    first = _folder(members[0]).id
    view.say(f"  next     python -m launcher runs logs -f {first}")
    view.say(f"           python -m launcher runs cancel {first}")


def _abandon(members: Sequence[Member]) -> None:
    """End what was interrupted; a run that was handed over is its supervisor's to end."""
    for member in members:
        if member.handed_over:
            request_cancel(_folder(member))
        elif member.folder is not None:
            cause = {
                "kind": "cancel",
                "phase": str(State.PREPARING),
                "message": "interrupted while preparing",
            }
            finish(member.folder, State.CANCELED, cause)


def _labels(members: Sequence[Member]) -> dict[RunFolder, str]:
    """Return what each member has that not all have."""
    words = [set(member.request.overrides) for member in members]
    common = words[0].intersection(*words[1:]) if len(words) > 1 else set[str]()
    return {
        _folder(member): " ".join(word for word in member.request.overrides if word not in common)
        for member in members
    }


def _objective(member: Member) -> float | None:
    name = member.request.spec.objective
    return last_values(member.folder).get(name) if name and member.folder else None


def _folder(member: Member) -> RunFolder:
    assert member.folder is not None, "recorded"  # noqa: S101
    return member.folder
