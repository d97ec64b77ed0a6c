"""`launcher runs show`: all about one run."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING, Any

from launcher.agent.base.process_logs import process_name
from launcher.cli.damage import report
from launcher.cli.output import Options, Parser, moment, pairs, say, say_json, size
from launcher.compute.jobs import job_of, settle
from launcher.spec import State
from launcher.store.find import find_run
from launcher.store.index import summarize
from launcher.store.metrics import last_values, return_record
from launcher.store.runs import Run, environment_of, read_run
from launcher.tables import label_lines
from launcher.view import cause_lines, duration, log_steps, state_text, value_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.store import records

LABEL = 13
"""Width of the first column."""

MOST_VALUE = 2000
"""Characters of a returned value; `--json` has all of it."""


def add_options(parser: Parser) -> None:
    """Add the options of this verb."""
    parser.add_argument(
        "--config",
        action="store_true",
        help="the whole configuration, not only what differs from the defaults",
    )


def run(options: Options) -> int:
    """Print a run."""
    folder = find_run(options.store, options.run)
    waits = settle([folder]).get(folder, "")
    run = read_run(folder)
    if options.json:
        say_json({**_data(run), "waits": waits or None})
        return report(run, as_json=True)
    lines = [*_lines(run, whole=options.config), *([("waits", waits)] if waits else [])]
    for line in label_lines(lines, LABEL):
        say(line)
    return report(run, as_json=False)


def _data(run: Run) -> dict[str, Any]:
    job = job_of(run.folder)
    return {
        **summarize(run),
        "phases": [[str(phase.state), phase.time] for phase in run.phases],
        "folder": str(run.folder.root),
        "job": None if job is None else job.id,
        "nodes": list(run.nodes),
        "processes": list(run.processes),
        "submit": dict(run.submit),
        "spec": dict(run.spec),
        "config": _config(run),
    }


def _lines(run: Run, *, whole: bool) -> Iterator[tuple[str, str]]:
    submit = run.submit
    yield "run", run.id
    yield "state", _state(run)
    if run.cause is not None:
        yield "cause", "\n".join(cause_lines(run.cause))
    if run.spec.get("description"):
        yield "description", run.spec["description"]
    yield "created", f"{moment(run.created)} by {submit.get('user')} on {submit.get('host')}"
    if run.phases:
        yield "phases", "\n".join(_phases(run))
    overrides = " ".join(submit.get("overrides") or ())
    labels = {"overrides": overrides, "sweep": submit.get("sweep"), "resumes": submit.get("resumes")}
    labels["rerun of"] = submit.get("rerun_of")
    yield from ((label, value) for label, value in {**labels, "tags": pairs(run.tags)}.items() if value)
    yield from _source_lines(run)
    job = job_of(run.folder)
    if job is not None:
        yield "job", f"{job.id} of {job.scheduler}\n{job.log}"
    if len(run.attempts) > 1:
        yield "attempts", f"{len(run.attempts)}; `runs logs --attempt K {run.id}` shows the logs of one"
    if run.processes:
        yield "processes", "\n".join(_process(process, over=run.state.terminal) for process in run.processes)
    metrics = last_values(run.folder)
    if metrics:
        yield "metrics", "\n".join(f"{name} = {value:.6g}" for name, value in sorted(metrics.items()))
    result = return_record(run)
    if result.get("lost"):
        yield "returned", f"a value that JSON cannot hold ({result['lost']})"
    elif result.get("value") is not None:
        yield "returned", value_text(result["value"], MOST_VALUE)
    yield "outputs", str(run.folder.outputs)
    yield "config", "\n".join([str(run.folder.config), *_config_lines(run, whole=whole)])
    yield "next", "\n".join(f"python -m launcher runs {step}" for step in _next(run))


def _source_lines(run: Run) -> Iterator[tuple[str, str]]:
    submit = run.submit
    tree = submit.get("snapshot")
    if tree:
        yield (
            "source",
            f"{tree['digest']} ({tree['files']} files, {size(tree['bytes'])})\n{run.folder.source}",
        )
    git = submit.get("git")
    if git:
        changed = {True: ", with changes", False: "", None: ", perhaps with changes"}[git.get("dirty")]
        yield "git", f"{git.get('commit') or 'no commit'} on {git.get('branch') or 'no branch'}{changed}"
    environment = environment_of(run.folder)
    if environment:
        yield "environment", f"{environment.get('key')}\n{environment.get('python')}"
    if submit.get("data"):
        yield "data", "\n".join(f"{name}: {path}" for name, path in submit["data"].items())


def _state(run: Run) -> str:
    if run.state is State.CANCEL_REQUESTED and run.canceled_by is not None:
        return f"{run.state} by {run.canceled_by.get('by')}; its processes are ending"
    words = state_text(run, time.time())
    if run.state is State.CANCELED and run.canceled_by is not None:
        words += f", by {run.canceled_by.get('by')} on {run.canceled_by.get('host')}"
    return words


def _signal(number: int) -> str:
    try:
        return f"signal {number} ({signal.Signals(number).name})"
    except ValueError:
        return f"signal {number}"


def _phases(run: Run) -> Iterator[str]:
    ends = [phase.time for phase in run.phases[1:]] + [run.ended or time.time()]
    for phase, end in zip(run.phases, ends, strict=True):
        yield f"{moment(phase.time)}  {phase.state.ljust(10)}  {duration(max(0.0, end - phase.time))}"


def _process(process: records.Record, *, over: bool) -> str:
    name = process_name(process).ljust(12)
    rank = "" if process.get("rank", -1) < 0 else f"rank {process['rank']}, "
    if process.get("ended") is None:
        how = ("end not recorded" if over else "running") if process.get("started") else "not started"
    elif process.get("signal"):
        how = f"killed by {_signal(process['signal'])}"
    else:
        how = f"exited with {process.get('exit_code')}"
    return f"{name}{rank}{process.get('node')}: {how}"


def _next(run: Run) -> tuple[str, ...]:
    if run.damage:
        return (f"logs {run.id}", f"files {run.id}", f"delete --force {run.id}")
    if run.state.terminal:
        logs = tuple(log_steps(run)) or (f"logs {run.id}",)
        return (*logs, *(f"{verb} {run.id}" for verb in ("files", "download", "rerun")))
    return tuple(f"{verb} {run.id}" for verb in ("logs -f", "wait", "cancel"))


def _config_lines(run: Run, *, whole: bool) -> list[str]:
    text = _config(run)
    if whole or not text:
        return text.splitlines()
    pointer = f"`python -m launcher runs show --config {run.id}` shows all of it"
    if run.damage or run.spec.get("app"):  # the latter: somebody else's, whose defaults are not known
        return [pointer]
    from launcher.config.changes import changed_lines  # noqa: PLC0415  # --json does not need it

    return [*changed_lines(text, run.spec), pointer]


def _config(run: Run) -> str:
    try:
        return run.folder.config.read_text("utf-8", "surrogateescape")
    except OSError:
        return ""
