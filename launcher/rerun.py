"""A run again, from its record alone: frozen source, config, plan and environment key."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.checks import unknown_secrets
from launcher.errors import BuildError, ConfigError, DamageError, NotFoundError
from launcher.launch import run_members
from launcher.members import Member, facts_of
from launcher.paths import RunFolder, StoreFolder
from launcher.session import Session
from launcher.spec import LaunchRequest, Prepared, RunSpec
from launcher.store import records
from launcher.store.ownership import open_cache
from launcher.store.runs import create_run, environment_of, read_frozen
from launcher.store.shapes import PREPARED
from launcher.store.snapshots import Snapshot, check_unchanged

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.facts import Facts
    from launcher.spec import Progress


def rerun(folder: RunFolder, *, wait: bool) -> int:
    """Launch a run like an earlier one, under the next number; return the exit code.

    Raises:
        NotFoundError: the run or its source is no longer there.
        StoreError: the source was changed after it was frozen.
        ConfigError: a secret of the run has no value now.
    """
    member, tree = prepare_rerun(folder, {}, wait=wait)
    request = member.request
    member.folder = create_run(
        StoreFolder(request.store), request.spec, member.plan, config=request.config, snapshot=tree,
        overrides=request.overrides, rerun_of=folder.id,
    )  # fmt: skip
    return run_members([member], sweep=None).exit_code


def prepare_rerun(
    folder: RunFolder, known: dict[str, Facts], then: Mapping[str, Any] | None = None, *, wait: bool
) -> tuple[Member, Snapshot]:
    """Return what runs a run's frozen records again, not recorded yet, and its source.

    Args:
        folder: the run.
        known: what was probed already, see `facts_of`.
        then: the environment to use; else the one that the run had.
        wait: whether to follow it.

    Raises:
        NotFoundError: the run or its source is no longer there.
        StoreError: the source was changed after it was frozen.
        ConfigError: a secret of the run has no value now.
    """
    submit, frozen, config = read_frozen(folder)
    if not folder.source.is_dir():
        raise NotFoundError(f"{folder.id}: its snapshot of the source is gone from the store")
    check_unchanged(folder.source.resolve())
    spec, session = _spec(folder, frozen), Session()
    facts = facts_of(spec, known, session)
    problems = [
        problem
        for problem in unknown_secrets(spec, facts)
        if not _is_ready(problem.key, submit, then or environment_of(folder))
    ]
    if problems:
        raise ConfigError(problems)
    request = LaunchRequest(
        spec=spec, store=folder.root.parents[2], config=config,
        overrides=tuple(submit.get("overrides") or ()), wait=wait,
    )  # fmt: skip

    def prepare(progress: Progress) -> Prepared:
        return _environment(folder, then or environment_of(folder), spec, facts, progress)

    member = Member(request, facts, spec.distribution.plan(spec, facts), session, prepare=prepare)
    return member, Snapshot(path=folder.source.resolve(), **submit["snapshot"])


def _spec(folder: RunFolder, frozen: Mapping[str, Any]) -> RunSpec:
    from omegaconf.errors import OmegaConfBaseException  # noqa: PLC0415  # as `thaw`

    from launcher.config.spec_record import thaw  # noqa: PLC0415  # only this command of `runs` needs OmegaConf

    try:
        return thaw(frozen)
    except (OmegaConfBaseException, LookupError, TypeError, ValueError) as error:
        words = " ".join(str(error).split())
        raise DamageError(f"{folder.id}: {folder.spec}: it is no spec: {words}") from error


def _is_ready(key: str, submit: Mapping[str, Any], environment: Mapping[str, Any] | None) -> bool:
    """Return whether what needs the secret of a key is there from the earlier run."""
    group, _, rest = key.partition(".")
    if group == "data":
        path = submit["data"].get(rest.split(".")[1])
        return path is not None and Path(path).exists()
    if group != "environment" or rest.startswith("registry") or environment is None:
        return False
    return bool(environment.get("image")) or Path(environment["python"]).exists()


def _environment(
    folder: RunFolder, then: Mapping[str, Any] | None, spec: RunSpec, facts: Facts, progress: Progress
) -> Prepared:
    """Return the run's own environment; built again where it is gone, if the same can still be built.

    Raises:
        DamageError: its record cannot be used.
        BuildError: what would be built today is not what the run had.
    """
    if then is None:
        return spec.environment.prepare(spec.environment_request, facts, open_cache(), progress)
    damage = records.damage_of(folder.submit, PREPARED("environment", then))
    if damage is not None:
        raise DamageError(f"{folder.id}: {damage}")
    problem = _environment_problem(then, spec, progress)
    if problem is None:
        values = {name: then[name] for name in Prepared.__dataclass_fields__ if name in then}
        values["packages"] = tuple(then["packages"])
        return Prepared(**values)
    pinned = spec.environment.pinned(then["packages"])
    if pinned is None:
        raise BuildError(f"environment: {problem}. Bring it there again, or launch anew instead of rerunning")
    now = spec.environment.prepare(spec.environment_request, facts, open_cache(), progress)
    if now.build is not None:
        return now
    if now.key != then["key"]:
        raise BuildError(
            f"environment: the run had {then['key']}, which is gone, and its packages give {now.key} today "
            "(a requirements file, MPI, Python or its place has changed). Launch anew instead of rerunning"
        )
    if now.packages == tuple(then["packages"]):
        return now
    progress.step("Building the versions that the run had")
    return pinned.prepare(spec.environment_request, facts, open_cache(), progress)


def _environment_problem(then: Mapping[str, Any], spec: RunSpec, progress: Progress) -> str | None:
    """Return why the environment of an earlier run is not there; None where it is."""
    if not then.get("image"):
        return None if Path(then["python"]).exists() else f"{then['python']} is gone"
    from launcher.environment.image import bring  # noqa: PLC0415  # imports the SDK

    return bring(str(then["image"]), spec, progress)
