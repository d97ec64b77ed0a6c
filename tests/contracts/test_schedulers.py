"""What every scheduler does behind the port; an implementation is one subclass with a fixture."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING, Any

import pytest

from launcher.compute.job_folders import log_name, write_script
from launcher.compute.scheduler import Job, JobRequest, JobState, Scheduler
from launcher.compute.slurm.target import Slurm
from launcher.errors import SubmitError
from tests.fake_scheduler import FakeScheduler
from tests.processes import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cluster.machine import Cluster

RESOURCES = {
    "nodes": 1, "processes_per_node": 1, "gpus_per_node": 0, "cpus_per_process": None, "memory_gib": None,
    "time_limit_min": None,
}  # fmt: skip
PLAN: dict[str, Any] = {"processes": []}
SPEC = {"id": "contract/1", "name": "contract", "retries": 0, "resources": RESOURCES, "plan": PLAN}
SECRET = "SLURM_LAUNCHER_SECRET_A"  # noqa: S105  # the name of a variable
HEAD = """\
import os, sys, time
def until(name):
    while not os.path.exists(name):
        time.sleep(0.05)
def mark(name):
    open(name, "w").close()
index = next((int(os.environ[name]) for name in ("SLURM_ARRAY_TASK_ID", "FAKE_INDEX")
              if os.environ.get(name, "").isdigit()), None)
"""


class Jobs:
    """Jobs of one scheduler, whose agents run a few lines of Python in the folder of the job."""

    def __init__(self, folder: Path, scheduler: Scheduler) -> None:
        self.folder = folder
        self.scheduler = scheduler
        self.ids: list[str] = []
        self.agent = folder / "agent"
        self.agent.mkdir()
        (self.agent / "__main__.py").write_text(
            "import os, sys\nos.chdir(sys.argv[2])\nexec(open('lines.py').read())\n"
        )

    def request(self, lines: str, **fields: Any) -> JobRequest:
        folder = self.folder / f"job-{len(self.ids)}"
        folder.mkdir()
        (folder / "lines.py").write_text(HEAD + lines)
        return JobRequest(spec=SPEC, folder=folder, agent=self.agent, command="job", **fields)

    def submit(self, lines: str, variables: dict[str, str] | None = None, **fields: Any) -> tuple[str, Path]:
        request = self.request(lines, **fields)
        path = write_script(request.folder, self.scheduler.render(request))
        job = self.scheduler.submit(path, variables or {})
        self.ids.append(job)
        return job, request.folder

    def find(self, job: str) -> Job | None:
        listed = {found.id: found for found in self.scheduler.list_jobs()}
        return listed.get(job) or self.scheduler.query([job]).jobs.get(job)

    def until(self, job: str, *states: JobState) -> Job:
        """Wait for a state; a job that passes it by has ended in another."""
        deadline = time.monotonic() + 60
        while (found := self.find(job)) is None or found.state not in states:
            assert time.monotonic() < deadline, found
            time.sleep(0.1)
        return found

    def over(self, job: str) -> Job:
        return self.until(job, *(state for state in JobState if state.final))

    def log(self, folder: Path, index: int | None = None) -> str:
        return (folder / log_name(self.scheduler.kind, index)).read_text()


class SchedulerContract:
    """The verbs of a scheduler."""

    @pytest.fixture
    def scheduler(self) -> Scheduler:
        raise NotImplementedError

    @pytest.fixture
    def jobs(self, tmp_path: Path, scheduler: Scheduler) -> Iterator[Jobs]:
        made = Jobs(tmp_path, scheduler)
        yield made
        left = [job.id for job in scheduler.list_jobs() if not job.state.final]
        scheduler.cancel(left)
        for job in left:
            made.over(job)

    def test_a_job_runs_and_completes(self, jobs: Jobs) -> None:
        job, folder = jobs.submit("print('hello')")
        found = jobs.over(job)
        assert (found.id, found.state, found.exit_code, found.signal) == (job, JobState.COMPLETED, 0, 0)
        assert found.nodes
        assert "hello\n" in jobs.log(folder)

    def test_a_job_that_fails_has_its_exit_code(self, jobs: Jobs) -> None:
        found = jobs.over(jobs.submit("sys.exit(3)")[0])
        assert (found.state, found.exit_code) == (JobState.FAILED, 3)

    def test_a_job_is_recognized_by_its_folder(self, jobs: Jobs) -> None:
        job, folder = jobs.submit("until('go')")
        jobs.until(job, JobState.RUNNING)
        listed = {found.id: found.folder for found in jobs.scheduler.list_jobs()}
        assert listed[job] == str(folder)
        (folder / "go").touch()
        assert jobs.over(job).state is JobState.COMPLETED

    def test_variables_reach_the_job_and_no_file(self, jobs: Jobs) -> None:
        job, folder = jobs.submit(f"print(os.environ['{SECRET}'][::-1])", {SECRET: "hidden"})
        assert jobs.over(job).state is JobState.COMPLETED
        assert "neddih" in jobs.log(folder)
        assert "hidden" not in (folder / "job.sh").read_text()

    def test_members_of_an_array_are_jobs_of_their_own(self, jobs: Jobs) -> None:
        job, folder = jobs.submit("print('member', index); sys.exit(index)", members=3, parallel=3)
        names = [jobs.scheduler.member_id(job, index) for index in range(3)]
        assert {jobs.scheduler.array_id(name) for name in (*names, job)} == {job}
        found = [jobs.over(name) for name in names]
        assert [member.exit_code for member in found] == [0, 1, 2]
        assert found[0].state is JobState.COMPLETED
        assert [jobs.log(folder, index).strip() for index in range(3)] == ["member 0", "member 1", "member 2"]

    def test_no_more_members_run_at_once_than_are_allowed(self, jobs: Jobs) -> None:
        lines = "mark(f'began-{index}'); until('go'); mark(f'ended-{index}')"
        job, folder = jobs.submit(lines, members=2, parallel=1)
        first, second = (jobs.scheduler.member_id(job, index) for index in range(2))
        jobs.until(first, JobState.RUNNING)
        waiting = jobs.until(second, JobState.PENDING)
        assert waiting.reason
        (folder / "go").touch()
        assert {jobs.over(name).state for name in (first, second)} == {JobState.COMPLETED}
        ended, began = ((folder / name).stat().st_mtime for name in ("ended-0", "began-1"))
        assert ended <= began

    def test_a_job_waits_for_others_and_says_why(self, jobs: Jobs) -> None:
        first, folder = jobs.submit("until('go')")
        second, _ = jobs.submit("print('late')", after=(first,))
        jobs.until(first, JobState.RUNNING)
        waiting = jobs.until(second, JobState.PENDING)
        assert (waiting.reason != "", waiting.nodes) == (True, "")
        (folder / "go").touch()
        assert jobs.over(second).state is JobState.COMPLETED

    def test_a_job_is_canceled_while_it_runs(self, jobs: Jobs) -> None:
        job, folder = jobs.submit("mark('began'); until('never')")
        jobs.until(job, JobState.RUNNING)
        wait_for((folder / "began").exists, "the job's process")
        assert jobs.scheduler.cancel([job]) == ""
        found = jobs.over(job)
        assert jobs.scheduler.refine(found, jobs.log(folder).splitlines()).state is JobState.CANCELED
        assert found.nodes
        assert jobs.scheduler.cancel([job]) == ""  # harmless

    def test_a_job_is_canceled_while_it_waits(self, jobs: Jobs) -> None:
        first, _ = jobs.submit("until('never')")
        second, folder = jobs.submit("mark('began')", after=(first,))
        jobs.until(second, JobState.PENDING)
        assert jobs.scheduler.cancel([second]) == ""
        found = jobs.over(second)
        assert (found.state, found.nodes) == (JobState.CANCELED, "")
        assert not (folder / "began").exists()

    def test_an_unknown_job(self, jobs: Jobs) -> None:
        assert jobs.find("987654") is None
        assert jobs.scheduler.cancel(["987654"]) == ""

    def test_limits_hold(self, jobs: Jobs) -> None:
        assert shutil.which(jobs.scheduler.program)
        found = jobs.scheduler.limits()
        assert found.default_partition in found.partitions
        request = jobs.request("pass", members=2 * found.max_array)
        path = write_script(request.folder, jobs.scheduler.render(request))
        with pytest.raises(SubmitError):
            jobs.scheduler.submit(path, {})


class TestFake(SchedulerContract):
    @pytest.fixture
    def scheduler(self) -> Scheduler:
        return FakeScheduler()


class TestSlurm(SchedulerContract):
    @pytest.fixture
    def scheduler(self, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Scheduler:
        for name, value in cluster.variables.items():
            monkeypatch.setenv(name, value)
        return Slurm(login_shell=False).scheduler()
