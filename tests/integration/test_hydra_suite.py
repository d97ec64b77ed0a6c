"""Hydra's own tests of launchers, for `launcher_local` and `launcher_slurm`.

What does not apply, and why:

- `test_sweep_with_custom_resolver`: its task and its resolver exist in the test's process only; nothing is
  pickled here, so another process has to find them by name. What users do, a resolver that their script
  registers, is tested in test_hydra_apps.py.
- Hydra's own runner of sweeps passes itself as the task, which has no name that another process would find:
  here it passes a function of a file. Everything else of it is Hydra's.
- Where the working folder of a job is compared as text, it is told as the link in `hydra.sweep.dir` that
  leads to it: what getcwd() tells is the run's own `outputs`, which the link points to.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest
from hydra import version
from hydra._internal.hydra import Hydra
from hydra._internal.utils import detect_task_name
from hydra.core.global_hydra import GlobalHydra
from hydra.test_utils.launcher_common_tests import (
    BatchedSweeperTestSuite,
    IntegrationTestSuite,
    LauncherTestSuite,
)
from hydra.test_utils.test_utils import SweepTaskFunction

if TYPE_CHECKING:
    from tests.cluster.machine import Cluster

pytestmark = [pytest.mark.filterwarnings("default"), pytest.mark.usefixtures("own_store")]

TASKS = "def returns_100(cfg):\n    return 100\n"
THROUGH_LINKS = """\
import os, pathlib, subprocess, sys
code = subprocess.call(sys.argv[1:])
told = pathlib.Path("output.txt")
text = told.read_text() if told.exists() else ""
for folder, names, _ in os.walk("."):
    for link in (pathlib.Path(os.path.abspath(folder), name) for name in names):
        if link.is_symlink():
            text = text.replace(str(link.resolve()), str(link))
told.write_text(text)
sys.exit(code)
"""


@pytest.fixture
def own_store(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("launcher")
    monkeypatch.setenv("LAUNCHER_STORE", str(folder / "store"))
    monkeypatch.setenv("LAUNCHER_CACHE", str(folder / "cache"))
    (folder / "app").mkdir()
    (folder / "app" / "tasks_of_suite.py").write_text(TASKS)
    monkeypatch.syspath_prepend(str(folder / "app"))  # pyright: ignore[reportUnknownMemberType]
    monkeypatch.delitem(sys.modules, "tasks_of_suite", raising=False)
    return folder / "store"


class Sweep(SweepTaskFunction):
    """Hydra's runner, with a task that has a name."""

    def __enter__(self) -> Self:
        task = import_module("tasks_of_suite").returns_100
        assert self.temp_dir is not None
        version.setbase("1.1")  # what the suite assumes: jobs change into their folder
        try:
            hydra = Hydra.create_main_hydra_file_or_module(
                calling_file=self.calling_file,
                calling_module=self.calling_module,
                config_path=self.config_path,
                job_name=detect_task_name(self.calling_file, self.calling_module),
            )
            self.returns = hydra.multirun(
                config_name=self.config_name,
                task_function=task,
                overrides=[*(self.overrides or []), f"hydra.sweep.dir={self.temp_dir}"],
                with_log_configuration=self.configure_logging,
            )
        finally:
            GlobalHydra().clear()
        return self


@pytest.fixture
def hydra_sweep_runner() -> Callable[..., Sweep]:
    def runner(**given: Any) -> Sweep:
        sweep = Sweep()
        vars(sweep).update({**given, "temp_dir": str(given["temp_dir"])})
        return sweep

    return runner


class OfLaunchers(LauncherTestSuite):
    @pytest.mark.skip(reason="task and resolver exist in the test's process only; nothing is pickled")
    def test_sweep_with_custom_resolver(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, launcher_name: str, overrides: list[str]
    ) -> None: ...


@pytest.mark.parametrize(("launcher_name", "overrides"), [("launcher_local", [])])
class TestLauncherLocal(OfLaunchers): ...


@pytest.mark.parametrize(
    ("launcher_name", "overrides"), [("launcher_local", ["hydra.sweeper.max_batch_size=2"])]
)
class TestBatches(BatchedSweeperTestSuite): ...


@pytest.fixture
def slurm(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in cluster.variables.items():
        monkeypatch.setenv(name, value)


@pytest.mark.slow
@pytest.mark.usefixtures("slurm")
@pytest.mark.parametrize(("launcher_name", "overrides"), [("launcher_slurm", [])])
class TestLauncherSlurm(OfLaunchers): ...


@pytest.mark.slow
@pytest.mark.usefixtures("slurm")
@pytest.mark.parametrize(
    ("launcher_name", "overrides"), [("launcher_slurm", ["hydra.sweeper.max_batch_size=2"])]
)
class TestBatchesOnSlurm(BatchedSweeperTestSuite): ...


@pytest.mark.parametrize(
    ("task_launcher_cfg", "extra_flags"), [({}, ["-m", "hydra/launcher=launcher_local"])]
)
class TestInApps(IntegrationTestSuite):
    def generate_custom_cmd(self) -> Callable[..., list[str]]:
        def through_links(command: list[str], _: str) -> list[str]:
            return [sys.executable, "-c", THROUGH_LINKS, *command]

        return through_links
