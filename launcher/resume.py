"""A sweep taken up again: the members that did not complete, from their frozen records."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from launcher.compute.jobs import settle
from launcher.errors import ConfigError, StoreError
from launcher.launch import cancel_unsubmitted, end_recorded, run_members
from launcher.paths import RunFolder, StoreFolder
from launcher.rerun import prepare_rerun
from launcher.store import records
from launcher.store.runs import create_run, environment_of, read_frozen, read_run, reserve, update_submit
from launcher.store.shapes import FROZEN
from launcher.store.sweeps import AGAIN, LOST, claim, config_digest, frozen_text, open_members, state_of
from launcher.sweep_view import labels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launcher import members
    from launcher.config.config_diff import Difference
    from launcher.facts import Facts
    from launcher.spec import LaunchRequest
    from launcher.store.snapshots import Snapshot
    from launcher.store.sweeps import Member, Sweep

DIFFERENCES = 20
"""So many are told."""


class _Task(NamedTuple):
    """A member that shall run, and what runs it."""

    member: Member
    launch: members.Member
    source: Snapshot
    lost: bool
    """Its run never started, so that it is the one to start."""


def resume(sweep: Sweep, states: Sequence[str], words: Sequence[str], *, wait: bool) -> int | None:
    """Run the members of a sweep that failed, were canceled or never started; return the exit code.

    A run that never started is started under its number. Of one that ended, the member gets a new run,
    whose record says `resumes`. What was deleted stays away. None where there is nothing to do.

    Args:
        sweep: the sweep.
        states: of its members, as `member_states` returns them.
        words: those of a command line, on top of the sweep's own, that must mean what is frozen.
        wait: whether to follow the runs.

    Raises:
        ConfigError: the words mean something else, or a secret has no value now; nothing was touched.
        NotFoundError: the source of a member is gone; nothing was touched.
    """
    if words:
        _refuse_drift(sweep, words)
    if not AGAIN & set(states):
        return None
    todo = _todo(sweep, states, wait=wait)
    launched = [each.launch for each in todo]
    try:
        _record(sweep, todo)
    except KeyboardInterrupt:
        cancel_unsubmitted(launched)
        raise
    except StoreError as error:
        raise end_recorded(launched, error) from error
    return run_members(launched, sweep.folder.id).exit_code


def member_states(sweep: Sweep) -> list[str]:
    """Return the states of members now; one whose record cannot be used is Damaged, however it ended."""
    settle(member.run for member in open_members(sweep))
    return [_state(member) for member in sweep.members]


def _state(member: Member) -> str:
    state = state_of(member)
    return str(read_run(member.run).state) if state in AGAIN - {LOST} else state


def _todo(sweep: Sweep, states: Sequence[str], *, wait: bool) -> list[_Task]:
    then = _environments(sweep)
    told = labels([member.overrides for member in sweep.members])
    known: dict[str, Facts] = {}
    todo: list[_Task] = []
    for member, state, label in zip(sweep.members, states, told, strict=True):
        if state in AGAIN:
            launch, source = prepare_rerun(member.run, known, then.get(_needs(member.run) or ""), wait=wait)
            launch.place, launch.label = member.place, label
            todo.append(_Task(member, launch, source, state == LOST))
    return todo


def _environments(sweep: Sweep) -> dict[str, dict[str, Any]]:
    """Return the environments that members had, by what they were made of; a killed launcher leaves gaps."""
    found: dict[str, dict[str, Any]] = {}
    for member in sweep.members:
        environment, needs = environment_of(member.run), _needs(member.run)
        if environment is not None and needs is not None:
            found.setdefault(needs, environment)
    return found


def _needs(run: RunFolder) -> str | None:
    """Return what an environment is made of; None if the run's spec cannot be used."""
    spec = records.read(run.spec)
    if spec is None or FROZEN("", spec) is not None:
        return None
    gpus = spec["resources"]["gpus_per_node"] > 0
    return repr((spec["environment"], spec["framework"], spec["distribution"]["kind"], gpus, spec["source"]))


def _record(sweep: Sweep, todo: Sequence[_Task]) -> None:
    """Take numbers, take the members, record the runs: in this order, as `read_sweep` expects."""
    store = StoreFolder(sweep.folder.root.parents[1])
    counts = Counter(each.launch.request.spec.name for each in todo if not each.lost)
    free = {name: reserve(store, name, count) for name, count in counts.items()}
    runs = {
        each.member.place: each.member.run if each.lost else free[each.launch.request.spec.name].pop(0)
        for each in todo
    }
    claim(sweep, runs)
    for member, launch, source, lost in todo:
        if lost:
            update_submit(member.run, owner=records.owner())
            launch.folder = member.run
            continue
        request = launch.request
        launch.folder = create_run(
            store, request.spec, launch.plan, config=request.config, snapshot=source, sweep=sweep.folder.id,
            overrides=request.overrides, resumes=member.run.id, folder=runs[member.place],
        )  # fmt: skip


def _refuse_drift(sweep: Sweep, words: Sequence[str]) -> None:
    """Compose the sweep's line anew with these words.

    Raises:
        ConfigError: it means something else now, told key by key.
    """
    name = sweep.folder.id
    if sweep.record["line"] is None:
        raise ConfigError([f"sweep {name}: a sweeper chose its members. Resume it without further words"])
    given = _compose(sweep, words)
    if len(given) != len(sweep.members):
        counts = f"it has {len(sweep.members)} members, this line makes {len(given)}"
        raise ConfigError([f"sweep {name}: {counts}. {_hint(name)}"])
    found: dict[Difference, list[int]] = {}
    for member, request in zip(sweep.members, given, strict=True):
        for difference in _drift(member, request):
            found.setdefault(difference, []).append(member.place)
    if found:
        told = [_difference_text(difference, places, len(given)) for difference, places in found.items()]
        more = [f"… and {len(told) - DIFFERENCES} more"] if len(told) > DIFFERENCES else []
        raise ConfigError([*told[:DIFFERENCES], *more, f"sweep {name} is frozen. {_hint(name)}"])


def _compose(sweep: Sweep, words: Sequence[str]) -> list[LaunchRequest]:
    from launcher.config.command_line import CommandLine, parse  # noqa: PLC0415  # only for words
    from launcher.config.load import load_sweep  # noqa: PLC0415

    then, now = sweep.record["line"], parse(words)
    line = CommandLine(
        overrides=(*then["overrides"], *now.overrides),  # of two values for a key the last counts
        multirun=True,
        conf=now.conf or then["conf"],
        primary=then["primary"] if now.primary == CommandLine().primary else now.primary,
    )
    cwd = Path(sweep.record["cwd"])
    return load_sweep(line, cwd if cwd.is_dir() else None)


def _drift(member: Member, request: LaunchRequest) -> list[Difference]:
    from launcher.config.changes import defaults  # noqa: PLC0415  # only where words are given
    from launcher.config.config_diff import differences  # noqa: PLC0415

    if config_digest(request.config) == member.config or not member.run.recorded:
        return []
    _, spec, frozen = read_frozen(member.run)
    return differences(frozen_text(frozen), frozen_text(request.config), defaults(spec))


def _difference_text(difference: Difference, places: Sequence[int], members: int) -> str:
    key, frozen, given = difference
    which = "every member" if len(places) == members else f"member {', '.join(map(str, places[:5]))}"
    more = ", …" if len(places) > 5 and len(places) != members else ""  # noqa: PLR2004  # as many as are read
    return f"{key}: frozen {frozen}, given {given} ({which}{more})"


def _hint(name: str) -> str:
    return f"Launch a new sweep, or resume what is frozen: python -m launcher sweeps resume {name}"
