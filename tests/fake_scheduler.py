"""A scheduler for tests: jobs are plain processes of this host, and members of an array count from 1."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from launcher.compute.batch import BatchTarget
from launcher.compute.job_folders import log_name
from launcher.compute.scheduler import Job, JobRequest, JobState, Lookup, SchedulerError
from launcher.compute.start_script import start_script
from launcher.errors import SubmitError
from launcher.facts import Cluster, Partition

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from launcher.errors import Problem

MAX_ARRAY = 50
_MARK = "#FAKE "


@dataclass
class _Member:
    """A job, or a member of an array."""

    id: str
    script: Path
    index: int | None
    parallel: int
    after: Sequence[str]
    environment: Mapping[str, str]
    process: subprocess.Popen[bytes] | None = None
    canceled: bool = False

    @property
    def array(self) -> str:
        return self.id.partition(".")[0]

    @property
    def over(self) -> bool:
        return self.process.poll() is not None if self.process is not None else self.canceled

    def start(self) -> None:
        folder = self.script.parent
        with (folder / log_name("fake", self.index)).open("wb") as log:
            env = {**self.environment, "FAKE_INDEX": str(self.index)}
            self.process = subprocess.Popen(
                [self.script], cwd=folder, env=env, stdout=log, stderr=log, start_new_session=True
            )

    def report(self) -> Job:
        code = self.process.poll() if self.process is not None else None
        reason, state = "", JobState.RUNNING
        if self.over:
            failed = JobState.FAILED if code else JobState.COMPLETED
            state = JobState.CANCELED if self.canceled else failed
        elif self.process is None:
            reason, state = "Turn", JobState.PENDING
        return Job(
            self.id, state, state.name.lower(), reason, nodes="here" if self.process is not None else "",
            exit_code=max(code or 0, 0), signal=max(-(code or 0), 0), folder=str(self.script.parent),
        )  # fmt: skip


@dataclass
class FakeScheduler:
    """See `Scheduler`. It lists the jobs that have not ended; `query` knows the others."""

    kind: ClassVar[str] = "fake"
    title: ClassVar[str] = "Fake"
    program: ClassVar[str] = "sh"
    site: str = ""
    setup: Sequence[str] = ()
    answers: bool = True
    members: list[_Member] = field(default_factory=list[_Member])

    def render(self, request: JobRequest) -> str:
        count = "" if request.members is None else request.members
        words = [f"array={count}", f"parallel={request.parallel or ''}", f"after={','.join(request.after)}"]
        lines = start_script(request, python=None, setup=self.setup, teardown=())
        return f"#!/bin/sh\n{_MARK}{shlex.join(words)}\n{lines}\n"

    def submit(self, script: Path, variables: Mapping[str, str]) -> str:
        [line] = [line for line in script.read_text().splitlines() if line.startswith(_MARK)]
        options = dict(word.split("=") for word in shlex.split(line.removeprefix(_MARK)))
        count, after = options["array"], list(filter(None, options["after"].split(",")))
        if count and int(count) > MAX_ARRAY:
            raise SubmitError(f"an array has at most {MAX_ARRAY} members")
        job = str(len({member.array for member in self.members}) + 1)
        environment = {**os.environ, **variables}
        for index in range(int(count)) if count else (None,):
            name = job if index is None else self.member_id(job, index)
            parallel = int(options["parallel"] or MAX_ARRAY)
            self.members.append(_Member(name, script, index, parallel, after, environment))
        self._start()
        return job

    def list_jobs(self) -> list[Job]:
        if not self.answers:
            raise SchedulerError("no answer")
        self._start()
        return [member.report() for member in self.members if not member.over]

    def query(self, ids: Sequence[str]) -> Lookup:
        return Lookup({member.id: member.report() for member in self.members if member.id in ids}, True)

    def cancel(self, ids: Sequence[str]) -> str:
        for member in self.members:
            if member.id in ids and not member.over:
                member.canceled = True
                if member.process is not None:
                    os.killpg(member.process.pid, signal.SIGKILL)
                    member.process.wait()
        return ""

    def limits(self) -> Cluster:
        part = Partition(nodes=1, cpus=1, memory_mib=1024, gpus=0, time_limit_min=None)
        return Cluster(partitions={"all": part}, default_partition="all", max_array=MAX_ARRAY)

    def refine(self, job: Job, log: Sequence[str]) -> Job:  # noqa: ARG002  # the port's
        return job

    def member_id(self, job: str, index: int) -> str:
        return f"{job}.{index + 1}"

    def array_id(self, job: str) -> str:
        return job.partition(".")[0]

    def _start(self) -> None:
        """Start the members whose turn it is."""
        for member in self.members:
            running = [other for other in self.members if other.array == member.array and other.process]
            busy = sum(not other.over for other in running)
            waits = any(not other.over for other in self.members if other.array in member.after)
            if member.process is None and not member.canceled and not waits and busy < member.parallel:
                member.start()


@dataclass(frozen=True, kw_only=True)
class FakeTarget(BatchTarget):
    """A compute target with one fake scheduler."""

    kind: ClassVar[str] = "fake"
    instance: ClassVar[FakeScheduler]
    max_parallel: int | None = None

    def check(self, *_: object) -> Sequence[Problem]:
        return ()

    def scheduler(self) -> FakeScheduler:
        return self.instance
