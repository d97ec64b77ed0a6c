"""What Slurm says of our jobs, asked at most every five seconds whatever the number of who asks."""

from __future__ import annotations

import hashlib
import os
import pwd
import re
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from launcher.agent.base import atomic_json
from launcher.agent.base.tools import failure
from launcher.compute.slurm_script import tool
from launcher.paths import StoreFolder, cache_root
from launcher.store import records

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from launcher.paths import RunFolder

EVERY_S = 7.5
"""Eight questions to squeue a minute for a user, however many runs and watchers there are."""

ASK_EVERY_S = 15.0
"""And four to sacct or scontrol, about jobs that squeue has forgotten."""

MOST_ALONE = 20
"""Jobs that are asked about one by one, in one turn."""

LEASE_S = 90.0
"""After which whoever was asking is taken to be gone."""

FINAL = frozenset(
    ("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED",
     "TIMEOUT")
)  # fmt: skip
"""States after which nothing comes; one that is not known here is none of them (squeue(1))."""

_FIELDS = "JobArrayID:|,State:|,Reason:|,StartTime:|,NodeList:|,EndTime:|,exit_code:|,WorkDir:"

CANCEL_ASKS, CANCEL_PAUSE_S = 4, 0.5
"""How often the scheduler is asked about jobs that were canceled and are ending, and the time between."""


class Job(NamedTuple):
    """A job as the scheduler has it."""

    id: str
    """`12`, or `12_3` for a member of an array."""
    state: str
    reason: str
    start: str
    """Expected, or when it was."""
    nodes: str
    end: str
    status: str
    """As wait(2) has it."""
    folder: str
    """Where it was submitted from, which names our jobs."""

    @property
    def ended(self) -> float:
        """When it was over, in seconds since the epoch; 0 where that is not told."""
        try:
            return datetime.fromisoformat(self.end).timestamp()
        except ValueError:
            return 0.0

    @property
    def exit_code(self) -> tuple[int, int]:
        """Exit code and signal."""
        status = int(self.status) if self.status.isdigit() else 0
        return status >> 8 & 0xFF, status & 0x7F


class Answer(NamedTuple):
    """What the scheduler said last."""

    time: float
    """Seconds since the epoch, 0 where it has never answered."""
    jobs: dict[str, Job]
    problem: str
    """Its words where it does not answer."""


def queue(*, anew: bool = False) -> Answer:
    """Return what squeue says, at most `EVERY_S` old unless the scheduler does not answer.

    Args:
        anew: ask in any case, such as after something was changed.
    """
    kept = _kept("queue")
    found = records.read(kept) or {"time": 0.0, "asked": 0.0, "jobs": [], "problem": ""}
    if anew:
        found = _ask(found)
        records.write(kept, found)
    elif time.time() - found["asked"] >= EVERY_S and _turn(kept):
        try:
            found = records.read(kept) or found  # who had the turn before may just have asked
            if time.time() - found["asked"] >= EVERY_S:
                found = _ask(found)
                records.write(kept, found)
        finally:
            records.remove(kept.with_suffix(".lease"))
    jobs = [Job(*fields) for fields in found["jobs"]]
    return Answer(found["time"], {job.id: job for job in jobs}, found["problem"])


def _ask(before: dict[str, Any]) -> dict[str, Any]:
    user = pwd.getpwuid(os.getuid()).pw_name
    now = time.time()  # what it says may be as old as the question
    done = tool(["squeue", "--noheader", "--array", "--states=all", f"--user={user}", f"--Format={_FIELDS}"])
    if done.returncode != 0:
        return {**before, "asked": now, "problem": done.stderr.strip() or "squeue does not answer"}
    lines = [line.split("|", 7) for line in done.stdout.splitlines()]
    jobs = [[part.strip() for part in line] for line in lines if len(line) == len(Job._fields)]
    return {"time": now, "asked": now, "jobs": jobs, "problem": ""}


class Told(NamedTuple):
    """What is known of jobs that squeue no longer lists."""

    jobs: dict[str, Job]
    """With all of their arrays."""
    whole: bool
    """Whether a job that is not among them is not there."""


def ask_about(ids: list[str]) -> Told | None:
    """Return what sacct, or the controller, says of jobs; None where it is not our turn to ask."""
    kept = _kept("asked")
    if not _due(kept) or not _turn(kept):
        return None
    try:
        if not _due(kept):  # somebody has just asked
            return None
        records.write(kept, {"asked": time.time()})
        fields = "--format=JobID,State,ExitCode,NodeList,End"
        # Of whole arrays: the members that never began share a line.
        whole = ",".join(sorted({name.split("_")[0] for name in ids}))
        told = tool(["sacct", "--noheader", "--parsable2", "--allocations", f"--jobs={whole}", fields])
        jobs: dict[str, Job] = {}
        for line in told.stdout.splitlines():
            if line.count("|") != fields.count(","):
                continue
            listed, state, code, nodes, end = line.split("|")
            jobs |= {name: _job(name, state.split(" ")[0], nodes, end, code) for name in members(listed)}
        for name in ids[:MOST_ALONE] if told.returncode != 0 else ():  # without accounting
            jobs |= _controller_says(name)
        return Told(jobs, whole=told.returncode == 0)
    finally:
        records.remove(kept.with_suffix(".lease"))


def _due(kept: Path) -> bool:
    return time.time() - (records.read(kept) or {"asked": 0.0})["asked"] >= ASK_EVERY_S


def members(listed: str) -> list[str]:
    """Return the ids of a list such as `7_[0-2,5%4]`."""
    array, bracket, rest = listed.partition("_[")
    if not bracket:
        return [listed]
    found: list[str] = []
    for part in rest.rstrip("]").partition("%")[0].split(","):
        first, dash, last = part.partition("-")
        last, _, step = last.partition(":")
        if first.isdigit() and (last.isdigit() or not dash):
            found += [
                f"{array}_{index}" for index in range(int(first), int(last or first) + 1, int(step or 1))
            ]
    return found


def _controller_says(name: str) -> dict[str, Job]:
    told = dict(re.findall(r"(\w+)=(\S*)", tool(["scontrol", "show", "job", "--oneliner", name]).stdout))
    if "JobState" not in told:
        return {}
    nodes, end = told.get("NodeList", ""), told.get("EndTime", "")
    return {name: _job(name, told["JobState"], nodes, end, told.get("ExitCode", ""))}


def _job(name: str, state: str, nodes: str, end: str, code: str) -> Job:
    code, _, signum = code.partition(":")
    status = str((int(code or 0) << 8) + int(signum or 0)) if code.isdigit() else ""
    return Job(name, state, "", "", nodes, end, status, "")


def _kept(what: str) -> Path:
    which = f"{os.environ.get('SLURM_CONF', '')}\0{os.uname().nodename}\0{os.getuid()}"
    folder = cache_root() / "slurm"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder / f"{what}-{hashlib.sha256(os.fsencode(which)).hexdigest()[:12]}.json"


def _turn(kept: Path) -> bool:
    """Tell whether this process is the one to ask."""
    lease = kept.with_suffix(".lease")
    if records.create(lease, {"owner": records.owner(), "time": time.time()}):
        return True
    holder = records.read(lease)
    if holder is None or time.time() - holder["time"] > LEASE_S or records.alive(holder["owner"]) is False:
        records.remove(lease)
    return False


def note_job(folder: Path, job_id: str) -> None:
    """Record the id of a submission."""
    records.create(folder / "id.json", {"schema": atomic_json.SCHEMA, "id": job_id})


def jobs_of_sweep(store: StoreFolder, sweep: str) -> list[str]:
    """Return the ids of all jobs that were submitted for a sweep; they may be over."""
    found = [records.read(path) for path in (store.sweeps / sweep / "jobs").glob("*/id*.json")]
    ids = {str((record or {}).get("id")) for record in found}
    return sorted(filter(str.isdigit, ids), key=int)


def job_folder(run: RunFolder) -> tuple[Path, int | None] | None:
    """Return the folder that a run's job was submitted from and its index; None where it has no job."""
    job = (records.read(run.submit) or {}).get("job")
    if not job:
        return None
    folder = StoreFolder(run.root.parents[2]).root / job["folder"]
    return (folder, job["index"]) if folder.is_dir() else None  # the run may be being deleted


def job_log(folder: Path, index: int | None) -> Path:
    """Return what Slurm and the script printed for one run; the members of an array each have a log."""
    if index is None:
        return folder / "slurm.log"
    return folder / f"slurm-{index}.log"


def job_id(folder: Path, index: int | None, jobs: Iterable[Job] = ()) -> str | None:
    """Return the id of the newest job of a submission; of one whose id was not recorded, by its folder."""
    middle = "" if index is None else f"{index}."
    again = [name for name in os.listdir(folder) if name.startswith(f"id.{middle}") and name != "id.json"]
    again = [name for name in again if name.removeprefix(f"id.{middle}").removesuffix(".json").isdigit()]
    newest = max(again, key=lambda name: int(name.split(".")[-2]), default="id.json")
    found = (records.read(folder / newest) or {}).get("id")
    if found is None:
        ids = {job.id.split("_")[0] for job in jobs if job.folder == str(folder)}
        if not ids:
            return None
        found = min(ids, key=int)
        note_job(folder, found)
    return found if index is None else f"{found}_{index}"


def cancel_jobs(runs: Iterable[RunFolder]) -> str:
    """End the jobs of runs; return what scancel complained of. One that is over already is no matter."""
    ids: list[str] = []
    jobs = queue().jobs.values()
    for run in runs:
        place = job_folder(run)
        found = None if place is None else job_id(*place, jobs)
        if found is not None:
            ids.append(found)
    problems: list[str] = []
    for first in range(0, len(ids), 500):
        done = tool(["scancel", "--quiet", *ids[first : first + 500]])
        problems += [failure(done)] if done.returncode != 0 else []
    for _ in range(CANCEL_ASKS if ids else 0):  # whoever settles the runs next learns what has become of them
        jobs_now = queue(anew=True).jobs
        if not any(jobs_now[name].state == "COMPLETING" for name in ids if name in jobs_now):
            break
        time.sleep(CANCEL_PAUSE_S)
    return "; ".join(problems)
