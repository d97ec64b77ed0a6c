"""What every compute target does; an implementation is one subclass with a fixture."""

from __future__ import annotations

import dataclasses
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from launcher.compute.jobs import cancel, settle
from launcher.compute.local import Local
from launcher.compute.slurm.slurm_tool import slurm_tool
from launcher.compute.slurm.target import Slurm
from launcher.data.inputs import Inputs
from launcher.distribution.single import Single
from launcher.distribution.torch import Torch
from launcher.environment.current import Current
from launcher.errors import SubmitError
from launcher.facts import Facts
from launcher.paths import RunFolder, StoreFolder
from launcher.probe import probe
from launcher.session import Session
from launcher.spec import Compute, Resources, RunSpec, State, plain
from launcher.store import records
from launcher.store.runs import create_run, enter, read_run
from launcher.store.snapshots import snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from launcher.store.run_state import Run
    from tests.cluster.machine import Cluster


class Submitting:
    """Runs of scripts, recorded and prepared as a launch does."""

    def __init__(self, folder: Path, compute: Compute) -> None:
        self._folder = folder
        self._compute = compute
        self.store = StoreFolder(folder / "store")
        self.folders: list[RunFolder] = []

    def spec(self, script: str, **fields: Any) -> RunSpec:
        source = self._folder / f"source-{len(self.folders)}"
        source.mkdir(exist_ok=True)
        (source / "script.py").write_text(script)
        options: dict[str, Any] = {"distribution": Single(), **fields}
        return RunSpec(
            name="contract",
            source=source,
            script="script.py",
            environment=Current(),
            data=Inputs(),
            compute=self._compute,
            **options,
        )

    def record(self, script: str, **fields: Any) -> RunFolder:
        spec = self.spec(script, **fields)
        facts = probe(spec)
        assert list(self._compute.check(spec, facts)) == []
        plan = spec.distribution.plan(spec, facts)
        tree = snapshot(spec.source, self.store, 1)
        folder = create_run(self.store, spec, plan, config="", snapshot=tree)
        prepared = spec.environment.prepare(spec.environment_request, facts, self._folder / "cache", Silent())
        enter(folder, State.PREPARING, environment=plain(prepared))
        self.folders.append(folder)
        return folder

    def submit(self, *folders: RunFolder) -> None:
        facts = probe(self.spec("pass"))
        self._compute.submit([folder.root for folder in folders], self.store.root, facts, Session())

    def until(self, folder: RunFolder, reached: Callable[[Run], object], limit_s: float = 120) -> Run:
        deadline = time.monotonic() + limit_s
        while not reached(run := read_run(folder)):
            settle([folder])  # as everybody does who waits
            assert time.monotonic() < deadline, run
            time.sleep(0.02)
        return run

    def over(self, folder: RunFolder) -> Run:
        return self.until(folder, lambda run: run.state.terminal)


class Silent:
    """No progress."""

    def step(self, text: str, done: float | None = None) -> None:
        """See `Progress.step`."""


class ComputeContract:
    """The three verbs of a compute target."""

    @pytest.fixture
    def compute(self) -> Compute:
        raise NotImplementedError

    @pytest.fixture
    def submitting(self, tmp_path: Path, compute: Compute) -> Iterator[Submitting]:
        made = Submitting(tmp_path, compute)
        yield made
        for folder in made.folders:
            if folder.submit.exists() and not read_run(folder).state.terminal:
                cancel([folder])
                made.over(folder)

    def test_what_is_submitted_runs_and_ends(self, submitting: Submitting) -> None:
        folder = submitting.record("open('outputs/x', 'w').write('x'); print('hello')")
        submitting.submit(folder)
        run = submitting.over(folder)
        assert run.state is State.COMPLETED, run.cause
        assert (folder.outputs / "x").read_text() == "x"
        assert (folder.logs / "worker-0.log").read_text() == "hello\n"
        assert State.QUEUED in [phase.state for phase in run.phases]

    def test_a_failure_has_its_cause(self, submitting: Submitting) -> None:
        folder = submitting.record("import sys; print('last words'); sys.exit(3)")
        submitting.submit(folder)
        cause = submitting.over(folder).cause
        assert cause is not None
        assert (cause.exit_code, cause.last_lines) == (3, ("last words",))

    def test_many_are_submitted_at_once(self, submitting: Submitting) -> None:
        folders = [submitting.record(f"import sys; sys.exit({number} == 1)") for number in range(3)]
        submitting.submit(*folders)
        states = [submitting.over(folder).state for folder in folders]
        assert states == [State.COMPLETED, State.FAILED, State.COMPLETED]

    def test_several_nodes(self, submitting: Submitting) -> None:
        script = "import os; print(os.environ['LAUNCHER_NODE'], os.environ['RANK'])"
        folder = submitting.record(
            script, distribution=Torch(), resources=Resources(nodes=2, processes_per_node=2)
        )
        submitting.submit(folder)
        assert submitting.over(folder).state is State.COMPLETED
        lines = [(folder.logs / f"worker-{rank}.log").read_text() for rank in range(4)]
        assert lines == ["0 0\n", "0 1\n", "1 2\n", "1 3\n"]

    def test_canceling_ends_a_run_and_is_harmless_when_it_is_over(self, submitting: Submitting) -> None:
        folder = submitting.record("import time; print('up', flush=True); time.sleep(300)")
        submitting.submit(folder)
        submitting.until(folder, lambda run: run.state is State.RUNNING)
        cancel([folder])
        assert read_run(folder).state in {State.CANCEL_REQUESTED, State.CANCELED}
        assert submitting.over(folder).state is State.CANCELED
        cancel([folder])
        assert read_run(folder).state is State.CANCELED

    def test_a_run_is_retried(self, submitting: Submitting) -> None:
        folder = submitting.record(
            "import os; raise SystemExit(os.environ['LAUNCHER_ATTEMPT'] == '0')", retries=1
        )
        submitting.submit(folder)
        run = submitting.over(folder)
        assert (run.state, run.attempts) == (State.COMPLETED, (0, 1))

    def test_more_gpus_than_there_are_is_a_problem(self, submitting: Submitting, compute: Compute) -> None:
        spec = submitting.spec("pass", resources=Resources(gpus_per_node=1000))
        assert [problem.key for problem in compute.check(spec, probe(spec))] == ["gpus_per_node"]

    def test_it_is_written_with_its_kind_and_options(self, compute: Compute) -> None:
        options: Any = compute
        assert plain(compute).keys() == {"kind", *(option.name for option in dataclasses.fields(options))}
        assert plain(compute)["kind"] == compute.kind


class TestLocal(ComputeContract):
    @pytest.fixture
    def compute(self) -> Compute:
        return Local(max_parallel=2)

    def test_a_supervisor_that_dies_at_once_ends_its_runs(
        self, submitting: Submitting, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = submitting.record("pass")
        monkeypatch.setattr(sys, "executable", "/bin/false")
        submitting.submit(folder)
        run = submitting.over(folder)
        assert (run.state, run.cause and run.cause.kind) == (State.FAILED, "supervisor_lost")

    def test_options_are_frozen(self) -> None:
        with pytest.raises(dataclasses.FrozenInstanceError):
            Local().max_parallel = 3  # pyright: ignore[reportAttributeAccessIssue]  # what is tested


class TestSlurm(ComputeContract):
    @pytest.fixture
    def compute(self, cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Compute:
        for name, value in cluster.variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("LAUNCHER_CACHE", str(tmp_path / "cache"))
        return Slurm(login_shell=False)

    def test_what_slurm_refuses_is_told_in_its_words(self, submitting: Submitting) -> None:
        folder = submitting.record("pass")
        refused = Slurm(partition="nowhere")
        with pytest.raises(SubmitError, match="invalid partition specified: nowhere"):
            refused.submit([folder.root], submitting.store.root, Facts(), Session())
        run = read_run(folder)
        assert (run.state, run.cause and run.cause.kind) == (State.FAILED, "submit")

    def test_options_arrive_as_they_were_written(
        self, submitting: Submitting, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        comment = 'it\'s "a" $(touch pwned) `id` # %j'
        odd = Slurm(login_shell=False, comment=comment, setup=["export ODD='of setup'"], teardown=["true"])
        monkeypatch.setattr(submitting, "_compute", odd)
        folder = submitting.record("import os; print(os.environ['ODD'], os.environ['SLURM_JOB_ID'])")
        submitting.submit(folder)
        assert submitting.over(folder).state is State.COMPLETED
        setup, job = (folder.logs / "worker-0.log").read_text().rsplit(maxsplit=1)
        assert setup == "of setup"
        argv = ["squeue", "--noheader", "--states=all", f"--jobs={job}", "--Format=Comment:200"]
        assert slurm_tool(argv).stdout.strip() == comment
        assert sorted(path.name for path in (folder.root / "job").iterdir()) == [
            "id.json",
            "job.json",
            "job.sh",
            "slurm.log",
        ]

    def test_scancel_is_a_cancellation(self, submitting: Submitting) -> None:
        folder = submitting.record("import time; print('up', flush=True); time.sleep(300)")
        submitting.submit(folder)
        submitting.until(folder, lambda run: run.state is State.RUNNING)
        found = (records.read(folder.root / "job" / "id.json") or {})["id"]
        assert slurm_tool(["scancel", found]).returncode == 0
        run = submitting.over(folder)
        assert (run.state, run.cause and run.cause.kind) == (State.CANCELED, "cancel")
