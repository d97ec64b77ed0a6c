"""The use case: probe → check → record → prepare → submit → follow, for one run or a whole sweep."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from launcher.cancelation import CancelRequested, cancelable
from launcher.compute.jobs import cancel
from launcher.errors import LauncherError, StoreError, SubmitError
from launcher.follow import Follower, StopSignal, wait
from launcher.members import Member, record, validate
from launcher.paths import RunFolder, cache_root
from launcher.spec import LaunchRequest, Prepared, RunSpec, State, plain
from launcher.store.logs import logs
from launcher.store.metrics import last_values, objective
from launcher.store.runs import enter, finish, update_submit
from launcher.streams import print_code
from launcher.sweep_view import Progress, print_summary, summary_row
from launcher.view import View

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from launcher.config.command_line import CommandLine
    from launcher.facts import Facts
    from launcher.session import Session
    from launcher.store.run_state import Run


_CANCELED = {"kind": "cancel", "phase": str(State.PREPARING), "message": "canceled while preparing"}

SIGNALED = 128
"""Exit codes above it say that a signal stopped the watching."""


@dataclass(frozen=True, slots=True)
class SweepResult:
    """How the members of a sweep ended, in their order."""

    runs: tuple[Run | None, ...]
    """None for a member that was only described (dry run)."""
    objectives: tuple[float | None, ...]
    exit_code: int


def launch(request: LaunchRequest, session: Session | None = None) -> int:
    """Launch one run; return the exit code.

    `session` is what was opened before the request was known.

    Raises:
        ConfigError: with every problem, before anything was touched.
    """
    return _launch([request], sweep=None, session=session).exit_code


def launch_sweep(requests: Sequence[LaunchRequest], line: CommandLine | None = None) -> SweepResult:
    """Launch the members of a sweep side by side; one that fails does not hide the others.

    `line` is what they were composed from, where they can be composed from it again.

    Raises:
        ConfigError: with every problem of every member, before anything was touched.
    """
    return _launch(requests, uuid4().hex[:12], line)


def _launch(
    requests: Sequence[LaunchRequest],
    sweep: str | None,
    line: CommandLine | None = None,
    session: Session | None = None,
) -> SweepResult:
    members = validate(requests, session=session)
    if requests[0].dry_run:
        from launcher.dryrun import describe_all  # noqa: PLC0415  # no launch needs it

        for text in describe_all(members):
            print(text)  # noqa: T201  # the answer
        return SweepResult((None,) * len(members), (None,) * len(members), print_code())
    try:
        record(members, sweep, line)
    except KeyboardInterrupt:
        cancel_unsubmitted(members)
        raise
    except StoreError as error:
        raise end_recorded(members, error) from error
    return run_members(members, sweep)


def run_members(members: Sequence[Member], sweep: str | None) -> SweepResult:
    """Prepare, submit and follow members that are recorded."""
    with View() as view:
        if sweep is not None:
            view.say(f"sweep {sweep}  {len(members)} run{'s' * (len(members) > 1)}")
        try:
            _prepare(members, view)
            _submit(members, view)
            if not members[0].request.wait:
                _print_steps(members, view, sweep)
                return SweepResult((None,) * len(members), (None,) * len(members), 0)
            _follow(members, view, sweep)
        except StopSignal as stop:
            _print_steps(members, view, sweep)
            return SweepResult((None,) * len(members), (None,) * len(members), stop.exit_code)
        except KeyboardInterrupt:
            cancel_unsubmitted(members)
            view.say("\nCanceled while preparing; nothing was started.")
            raise
        except (LauncherError, OSError) as error:  # such as a store that is full by now
            raise end_recorded(members, error) from error
    runs = tuple(member.run for member in members)
    objectives = tuple(objective(run) if run is not None else None for run in runs)
    failed = any(run is None or run.state is not State.COMPLETED for run in runs)
    return SweepResult(runs, objectives, int(failed))


def _prepare(members: Sequence[Member], view: View) -> None:
    """Build what the members need, each environment and data set once; a failure ends its members."""
    done: dict[str, tuple[Prepared, Mapping[str, str]] | dict[str, str]] = {}
    needs = [repr(_need(member.request.spec, member.facts)) for member in members]
    for member, need in zip(members, needs, strict=True):
        folder = _folder(member)
        if need not in done:
            enter(folder, State.PREPARING)
            if len(members) == 1:
                view.phase(folder.id, State.PREPARING)
            alike = [_folder(other) for other, same in zip(members, needs, strict=True) if same == need]
            try:
                with cancelable(alike):
                    done[need] = _prepare_one(member, view)
            except CancelRequested:
                done[need] = _CANCELED
        result = done[need]
        if isinstance(result, dict):
            finish(folder, State.CANCELED if result is _CANCELED else State.FAILED, result)
        else:
            update_submit(folder, environment=plain(result[0]), data=dict(result[1]))
            member.ready = True


def _prepare_one(member: Member, view: View) -> tuple[Prepared, Mapping[str, str]] | dict[str, str]:
    """Return the environment and the inputs of a member, or the cause of its failure."""
    spec, kind = member.request.spec, "environment"
    try:
        if member.prepare is not None:
            prepared = member.prepare(view)
        else:
            prepared = spec.environment.prepare(spec.environment_request, member.facts, cache_root(), view)
        kind = "data"
        return prepared, spec.data.prepare(cache_root(), view)
    except LauncherError as error:
        return {"kind": kind, "phase": str(State.PREPARING), "message": str(error)}


def _need(spec: RunSpec, facts: Facts) -> tuple[Any, ...]:
    """Return all that preparing depends on."""
    return spec.environment, spec.environment_request, spec.data, facts, spec.source


def _submit(members: Sequence[Member], view: View) -> None:
    """Hand the ready members over, those of one target and store together; the least `max_parallel` applies.

    Raises:
        SubmitError: a scheduler refused, and no member goes on.
    """
    refused: list[SubmitError] = []
    groups: dict[tuple[str, str], list[Member]] = {}
    for member in members:
        if member.ready:
            compute = member.request.spec.compute
            queue = compute.kind if compute.features.one_queue else repr(compute)
            groups.setdefault((queue, str(member.request.store)), []).append(member)
    for group in groups.values():
        computes = [member.request.spec.compute for member in group]
        compute = min(computes, key=lambda each: each.max_parallel or math.inf)
        facts = max((member.facts for member in group), key=lambda facts: len(facts.gpus))
        folders = [_folder(member).root for member in group]
        for member in group:
            member.handed_over = True  # before, since Ctrl-C may hit at any moment
        try:
            compute.submit(folders, group[0].request.store, facts, group[0].session)
        except SubmitError as error:
            refused.append(error)
    if refused and all(_folder(member).end.exists() for member in members):
        raise refused[0]
    for error in refused:
        view.say(str(error))


def _follow(members: Sequence[Member], view: View, sweep: str | None) -> None:
    by_folder = {_folder(member): member for member in members}
    followers: list[Follower] = []
    if sweep is None:
        folder = _folder(members[0])
        followers = [Follower(folder, view, logs(folder, 0)[0].process, phases=1)]
    progress = Progress(view, by_folder) if sweep is not None else None

    def on_end(run: Run) -> None:
        member = by_folder[run.folder]
        member.run = run
        if progress is not None:
            progress.end(run, member.label)

    def show() -> object:
        for follower in followers:
            follower.poll()
        return progress.show() if progress is not None else [follower.told for follower in followers]

    wait(list(by_folder), view, show, on_end)
    for follower in followers:
        follower.poll()
        follower.close()
        if members[0].run is not None:
            view.summary(members[0].run, last_values(_folder(members[0])), follower.process)
    if sweep is not None:
        print_summary(
            view, sweep, [summary_row(it.place, it.run, it.label, 0) for it in members if it.run is not None]
        )


def _print_steps(members: Sequence[Member], view: View, sweep: str | None) -> None:
    first = _folder(members[0]).id
    if sweep is None:
        view.say(f"{first}  submitted")
        steps = (f"runs logs -f {first}", f"runs cancel {first}")
    else:
        view.say(f"sweep {sweep}  submitted")
        steps = (f"sweeps show {sweep}", f"sweeps wait {sweep}", f"sweeps cancel {sweep}")
    for number, step in enumerate(steps):
        view.say(f"  {'' if number else 'next':8} python -m launcher {step}")


def cancel_unsubmitted(members: Sequence[Member]) -> None:
    """End what was interrupted; a run that was handed over is its supervisor's to end."""
    for member in members:
        if member.folder is not None and not member.handed_over:
            cause = {
                "kind": "cancel",
                "phase": str(State.PREPARING),
                "message": "interrupted while preparing",
            }
            finish(member.folder, State.CANCELED, cause)
    cancel([_folder(member) for member in members if member.handed_over])


def end_recorded(members: Sequence[Member], error: LauncherError | OSError) -> LauncherError:
    """End the runs that an error keeps from being handed over; return the error to raise.

    With a run in the store that is a `SubmitError`, whatever it was: exit code 2 says that there is none.
    """
    cause = {"kind": "submit", "phase": str(State.PREPARING), "message": str(error)}
    recorded = [member for member in members if member.folder is not None and member.folder.submit.exists()]
    for member in recorded:
        if member.folder is not None and not member.handed_over:
            finish(member.folder, State.FAILED, cause)
    if isinstance(error, LauncherError) and (isinstance(error, SubmitError) or not recorded):
        return error
    return SubmitError(str(error))


def _folder(member: Member) -> RunFolder:
    assert member.folder is not None, "recorded"  # noqa: S101
    return member.folder
