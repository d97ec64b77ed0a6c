"""A driver that kills random processes of real runs at random moments, and judges every run by what it did.

LAUNCHER_KILLS says how many runs, LAUNCHER_SEED repeats a sequence as far as the machine allows, and
LAUNCHER_KILLS_LOG names a file to which each verdict is added.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from launcher.agent.base.processes import parents
from launcher.spec import State
from launcher.store.runs import read_run
from tests.integration.conftest import until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Sequence

    from launcher.paths import RunFolder
    from launcher.store.run_state import Run
    from tests.integration.conftest import Lab

KILLS: Final = int(os.environ.get("LAUNCHER_KILLS", "12"))
SEED: Final = int(os.environ.get("LAUNCHER_SEED", "0")) or random.randrange(1, 10**6)  # noqa: S311  # a seed
TOGETHER: Final = 4
"""Runs at the same time."""
SPARED: Final = 0.15
"""Share of the runs of which nothing is killed."""
EARLY: Final = 0.05
"""Share of the runs of which something is killed before there is a record."""
UNBEGUN: Final = 0.2
"""Share of the runs of which something is killed a random time after their record, begun or not."""
WATCHED: Final = 0.15
"""Share of the kills that meet the launch command while something else of the run lives."""
LATEST_S: Final = 3.0
"""Seconds after a run's first attempt began within which something of it is killed."""

SCRIPT: Final = """\
echo up
sleep 3.$((LAUNCHER_RANK % 10))
echo over >outputs/over-$LAUNCHER_ATTEMPT-$LAUNCHER_RANK
"""
"""Every rank leaves a proof that it did its work."""

_ROLES: Final = (
    ("slurmstepd", re.compile(rb"^slurmstepd:")),
    ("srun", re.compile(rb"^(\S*/)?srun\0")),
    ("mpirun", re.compile(rb"^(\S*/)?mpirun\0")),
    ("orted", re.compile(rb"^(\S*/)?orted\0")),
    ("shim", re.compile(rb"containerd-shim")),
    ("engine's helper", re.compile(rb"\0launcher\.engine\.serve\0")),
    ("supervisor", re.compile(rb"\0supervise\0$")),
    ("agent", re.compile(rb"/agents/[^\0]+\0(job|node)\0")),
    ("rank", re.compile(rb"\0script\.sh\0|^sleep\0")),
    ("shell", re.compile(rb"^(\S*/)?(ba|da)?sh\0")),
)
LAUNCH: Final = "launch command"


@dataclass
class Driven:
    """A run and what was done to it."""

    words: tuple[str, ...]
    launch: subprocess.Popen[str]
    delay_s: float
    """Seconds between its first attempt, or its record, and the moment when something of it is killed."""
    spared: bool
    unbegun: bool
    """Whether that may be before its first attempt began."""
    due: float | None
    """That moment; None until it is known."""
    folder: RunFolder | None = None
    killed: str = ""
    """Role of what was killed."""
    phase: str = ""
    """The run's state at that moment."""
    faults: list[str] = field(default_factory=list[str])

    @property
    def ranks(self) -> int:
        """Number of processes."""
        return 2 if "nodes=2" in self.words else 1


@dataclass
class Driver:
    """Launches, kills and judges."""

    lab: Lab
    shapes: Sequence[tuple[str, ...]]
    seeds: Callable[[RunFolder], list[int]]
    """Returns processes of the scheduler or the engine that belong to a run."""
    settle: Callable[[RunFolder], Run]
    """Waits for the end of a run."""
    kept: Callable[[RunFolder], list[str]]
    """Returns what a run that is over has left on the machine."""
    runs: int = KILLS
    counts: Counter[str] = field(default_factory=Counter[str])
    false: list[str] = field(default_factory=list[str])

    def drive(self) -> None:
        """Drive all runs."""
        _tell(f"LAUNCHER_SEED={SEED} LAUNCHER_KILLS={KILLS}")
        chance = random.Random(SEED)  # noqa: S311  # repeatable
        self.lab.script(SCRIPT, "script.sh")
        left = self.runs
        while left > 0:
            batch = [self._begin(chance) for _ in range(min(TOGETHER, left))]
            left -= len(batch)
            self._kill(batch, chance)
            for each in batch:
                self._judge(each)
        _tell(json.dumps(dict(sorted(self.counts.items())), indent=1))

    def _begin(self, chance: random.Random) -> Driven:
        words = chance.choice(self.shapes)
        name = f"name=k{chance.randrange(10**9)}"
        launch = self.lab.start("command=[sh,script.sh]", "script=null", name, *words)
        early = time.monotonic() + chance.uniform(0, 2) if chance.random() < EARLY else None
        delay, spared = chance.uniform(0, LATEST_S), chance.random() < SPARED
        return Driven((*words, name), launch, delay, spared, chance.random() < UNBEGUN, early)

    def _kill(self, batch: Sequence[Driven], chance: random.Random) -> None:
        left = [each for each in batch if not each.spared]
        while left:
            for each in list(left):
                folder = self._folder(each)
                if each.due is None and folder and (each.unbegun or folder.attempt_state(0).exists()):
                    each.due = time.monotonic() + each.delay_s
                if each.launch.poll() is not None or (each.due is not None and time.monotonic() >= each.due):
                    left.remove(each)
                    self._kill_one(each, chance)
            time.sleep(0.02)

    def _kill_one(self, each: Driven, chance: random.Random) -> None:
        each.folder = self._folder(each)
        roles = self._roles(each)
        if not roles:
            return  # over
        others = sorted(set(roles) - {LAUNCH})
        role = (
            LAUNCH if not others or (LAUNCH in roles and chance.random() < WATCHED) else chance.choice(others)
        )
        each.phase = str(read_run(each.folder).state) if each.folder else ""
        try:
            os.kill(chance.choice(roles[role]), signal.SIGKILL)
        except ProcessLookupError:
            return
        each.killed = role

    def _folder(self, driven: Driven) -> RunFolder | None:
        folder = self.lab.store.run(driven.words[-1].removeprefix("name="), 1)
        return folder if folder.submit.exists() else None

    def _roles(self, driven: Driven) -> dict[str, list[int]]:
        """Return the processes of a run by role."""
        pids: set[int] = set()
        if driven.folder is not None:
            pids = _with_descendants({*self.lab.processes(driven.folder), *self.seeds(driven.folder)})
        roles: dict[str, list[int]] = {}
        for pid in sorted(pids - {driven.launch.pid}):
            try:
                line = Path(f"/proc/{pid}/cmdline").read_bytes()
            except OSError:
                continue
            role = next((name for name, pattern in _ROLES if pattern.search(line)), "other")
            if line:
                roles.setdefault(role, []).append(pid)
        if driven.launch.poll() is None:
            roles[LAUNCH] = [driven.launch.pid]
        return roles

    def _judge(self, driven: Driven) -> None:
        out, err = driven.launch.communicate(timeout=240)
        driven.folder = folder = self._folder(driven)
        if folder is None:
            known = driven.killed == LAUNCH
            self.counts[f"{driven.killed or 'nothing'}: no run"] += 1
            if not known:
                self.false.append(f"{driven.words}: no run, {driven.killed=}: {out}{err}")
            return
        run = self.settle(folder)
        cause = run.cause.message if run.cause else ""
        driven.faults = [*_faults(driven, run, cause), *self._leftovers(folder)]
        self.counts[f"{driven.killed or 'nothing'}: {run.state}"] += 1
        line = {
            "killed": driven.killed, "in": driven.phase, "words": driven.words, "state": str(run.state),
            "attempts": run.attempts, "cause": cause, "faults": driven.faults, "run": str(folder.root),
        }  # fmt: skip
        _tell(json.dumps(line))
        if driven.faults:
            self.false.append(json.dumps(line))

    def _leftovers(self, folder: RunFolder) -> list[str]:
        try:
            until(lambda: not self.lab.processes(folder), "no process", 30)
            until(lambda: not self.kept(folder), "nothing else", 30)
        except AssertionError as error:
            return [f"left: {error}: {self.lab.processes(folder)} {self.kept(folder)}"]
        return []


def _with_descendants(found: set[int]) -> set[int]:
    below: dict[int, list[int]] = {}
    for pid, parent in parents().items():
        below.setdefault(parent, []).append(pid)
    queue = list(found)
    for pid in queue:  # grows while it is walked
        queue += below.get(pid, [])
    return set(queue)


def _faults(driven: Driven, run: Run, cause: str) -> list[str]:
    """Return what is false in the verdict on a run."""
    attempt = max(run.attempts, default=0)
    proofs = [run.folder.outputs / f"over-{attempt}-{rank}" for rank in range(driven.ranks)]
    done = all(proof.exists() for proof in proofs)
    faults: list[str] = []
    if run.state is State.COMPLETED and not done:
        faults.append("Completed, though the work is not done")
    if run.state is State.CANCELED:
        faults.append("Canceled, though nobody did")
    if run.state is State.FAILED:
        if not driven.killed:
            faults.append("Failed, though nothing of it was killed")
        if driven.killed == LAUNCH and (run.attempts or any(run.folder.outputs.glob("*"))):
            faults.append("Failed, though only the command that watches it was killed")
        if not re.search(_CONSEQUENCES, cause, re.IGNORECASE):
            faults.append("the cause names nothing that was killed, and no consequence")
        if re.search(r"\bscancel|\bcancel|Traceback|Error\(", cause):
            faults.append("the cause is not in words, or names what did not happen")
    return faults


_CONSEQUENCES: Final = (
    r"kill|signal|lost|gone|\bended|exited|exit code|died|ends|interrupted|engine could not start"
)


def _tell(text: str) -> None:
    print(text)  # noqa: T201  # to repeat what went wrong
    if path := os.environ.get("LAUNCHER_KILLS_LOG"):
        with Path(path).open("a", encoding="utf-8") as log:
            log.write(text + "\n")
