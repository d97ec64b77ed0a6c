"""Other people's Hydra apps, unchanged, as runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from omegaconf import OmegaConf

from launcher.errors import ConfigError
from launcher.paths import RunFolder
from launcher.spec import State

from .conftest import until
from .hydra_app import APP, SWEEPER, App

if TYPE_CHECKING:
    from tests.cluster.machine import Cluster


@pytest.fixture
def app(tmp_path: Path) -> App:
    return App(tmp_path)


@pytest.fixture
def slurm_app(tmp_path: Path, cluster: Cluster) -> App:
    app = App(tmp_path)
    app.env |= cluster.variables
    app.launcher = "launcher_slurm"
    return app


def test_jobs_are_runs_and_their_files_are_where_hydra_has_them(app: App) -> None:
    done = app.sweep("optimizer.lr=0.1,0.2")
    assert done.returncode == 0, done.stderr
    for number, lr in enumerate((0.1, 0.2)):
        run = app.run(number + 1)
        assert run.state is State.COMPLETED
        assert run.submit["overrides"] == [f"optimizer.lr={lr}"]
        link = app.folder / "swept" / str(number)
        assert link.resolve() == run.folder.outputs.resolve()
        assert OmegaConf.load(link / ".hydra/config.yaml").optimizer.lr == lr
        assert OmegaConf.load(link / ".hydra/overrides.yaml") == [f"optimizer.lr={lr}"]
        assert OmegaConf.load(link / ".hydra/hydra.yaml").hydra.job.num == number
        assert f"App lr={lr} helper=1" in (link / "train.log").read_text()
        assert (link / "cwd.txt").read_text() == str(app.folder)  # Hydra's default since 1.2
        assert json.loads(run.folder.returned.read_text()) == {"value": lr * 2}
        assert f"argv ['optimizer.lr={lr}']" in app.log(number + 1)
        assert f"original {app.folder}" in app.log(number + 1)
    assert (app.folder / "swept/multirun.yaml").is_file()
    rows = [line.split() for line in done.stderr.splitlines() if line.startswith(("0  ", "1  "))]
    assert [row[-2:] for row in rows] == [["0.2", "optimizer.lr=0.1"], ["0.4", "optimizer.lr=0.2"]]


def test_what_was_submitted_runs_whatever_is_edited_meanwhile(app: App) -> None:
    done = app.sweep("mode=edit,number", "hydra.launcher.max_parallel=1")
    assert done.returncode == 0, done.stderr
    assert "helper=1" in app.log(2)


def test_one_that_fails_takes_nothing_along_and_tells_why(app: App) -> None:
    done = app.sweep("mode=raise,die,number")
    assert done.returncode == 1
    assert [app.run(number).state for number in (1, 2, 3)] == [State.FAILED, State.FAILED, State.COMPLETED]
    assert "Error executing job with overrides: ['mode=raise']" in done.stderr
    assert "train/1 Failed" in done.stderr
    assert "ValueError: no such luck" in done.stderr
    assert app.run(2).processes[0]["exit_code"] == 7


def test_a_sweeper_gets_what_each_job_returned(app: App) -> None:
    (app.folder / "hydra_plugins").mkdir()
    (app.folder / "hydra_plugins/telling.py").write_text(SWEEPER)
    done = app.sweep("hydra/sweeper=telling")
    assert done.returncode == 0, done.stderr
    first, second, third = (line for line in done.stdout.splitlines() if line.startswith("TOLD"))
    assert first.startswith("TOLD FAILED train/1 Failed: ")
    assert second == "TOLD COMPLETED 0.2 train 6"
    assert third.startswith("TOLD FAILED train/3 Failed: ")


def test_working_folder_and_variables_of_hydra(app: App) -> None:
    app.env["CHOSEN"] = "outside"
    done = app.sweep(
        "hydra.job.chdir=true", "hydra.sweep.subdir=job-${hydra.job.num}", "hydra.job.env_copy=[CHOSEN]"
    )
    assert done.returncode == 0, done.stderr
    assert (app.folder / "swept/job-0/cwd.txt").read_text() == str(app.run(1).folder.outputs)
    assert "chosen outside" in app.log(1)
    assert app.sweep("+hydra.job.env_set.CHOSEN=set").returncode == 0
    assert "chosen set" in app.log(2)


def test_a_return_value_that_json_cannot_hold_is_none_and_told(app: App) -> None:
    done = app.sweep("mode=object")
    assert done.returncode == 0, done.stderr
    assert "train/1 returned what JSON cannot hold, so None is taken: object" in done.stderr


def test_scalars_and_configurations_are_what_json_has_for_them(app: App) -> None:
    done = app.sweep("mode=scalar")
    assert done.returncode == 0, done.stderr
    assert json.loads(app.run(1).folder.returned.read_text()) == {"value": [0.5, {"a": 1}]}


def test_a_folder_that_is_there_already_stays(app: App) -> None:
    (app.folder / "swept/0").mkdir(parents=True)
    (app.folder / "swept/0/mine.txt").touch()
    assert app.sweep().returncode == 0
    assert not (app.folder / "swept/0").is_symlink()
    assert "no link" in app.log(1)
    assert (app.run(1).folder.outputs / ".hydra/config.yaml").is_file()


def test_the_next_sweep_of_a_folder_leads_to_the_next_runs(app: App) -> None:
    for number in (1, 2):
        assert app.sweep().returncode == 0
        assert (app.folder / "swept/0").resolve() == app.run(number).folder.outputs.resolve()
    assert not (app.run(2).folder.source / "swept").exists()  # results are no source of the next sweep
    assert app.run(1).folder.source.resolve() == app.run(2).folder.source.resolve()


BESIDE = """\
import pathlib, hydra
HERE = pathlib.Path(__file__)

@hydra.main(version_base=None, config_path=None)
def main(config):
    for place in (HERE.parent, HERE.resolve().parent):
        (place / "data").mkdir(exist_ok=True)
        (place / "data" / config.name).write_text("w")
        print(sorted(path.name for path in (place / "data").iterdir()))

main()
"""


def test_paths_beside_the_apps_own_file(app: App) -> None:
    """What ignore rules leave out is named; `links` puts the project's own folder there."""
    (app.folder / "train.py").write_text(BESIDE)
    (app.folder / "data").mkdir()
    (app.folder / "data" / "images").touch()
    (app.folder / ".gitignore").write_text("data\n")
    done = app.sweep("+name=a")
    assert "source: ignore rules leave out data/. hydra.launcher.links=[data] links" in done.stderr
    assert not (app.run(1).folder.source / "data").exists()
    assert (app.run(1).folder.root / "work" / "0" / "data" / "a").exists()  # of this run alone
    done = app.sweep("+name=b", "hydra.launcher.links=[data]")
    assert done.returncode == 0, done.stderr + app.log(2)
    assert "ignore rules" not in done.stderr
    assert app.log(2) == "['b', 'images']\n['b', 'images']\n"
    assert (app.folder / "data" / "b").exists()
    wrong = app.sweep("+name=c", "hydra.launcher.links=[dat]")
    assert wrong.returncode != 0
    assert "hydra.launcher.links[0]: got 'dat'; expected a folder or file that exists" in wrong.stderr


def test_nobody_needs_to_wait(app: App) -> None:
    done = app.sweep("optimizer.lr=1,2", "hydra.launcher.wait=false")
    assert done.returncode == 0, done.stderr
    for number in (1, 2):
        until(lambda number=number: app.run(number).state is State.COMPLETED, "the end")


def test_a_module_starts_as_python_m_does(app: App) -> None:
    package = app.folder / "package"
    package.mkdir()
    (package / "__init__.py").touch()
    (app.folder / "train.py").rename(package / "train.py")
    done = app.sweep(start=("-m", "package.train"))
    assert done.returncode == 0, done.stderr
    assert app.run(1).state is State.COMPLETED


def test_ranks_find_one_another(app: App) -> None:
    (app.folder / "train.py").write_text(
        "import os, hydra\n"
        "@hydra.main(version_base=None)\n"
        "def main(config):\n"
        "    assert os.environ['WORLD_SIZE'] == '2' and os.environ['MASTER_PORT']\n"
        "    return os.environ['RANK']\n"
        "main()\n"
    )
    done = app.sweep("hydra.launcher.tasks_per_node=2")
    assert done.returncode == 0, done.stderr
    assert json.loads(app.run(1).folder.returned.read_text()) == {"value": "0"}


def test_a_run_of_an_app_can_be_run_again(app: App) -> None:
    assert app.sweep("optimizer.lr=0.5").returncode == 0
    (app.folder / "train.py").write_text("1 / 0")
    line = [sys.executable, "-m", "launcher", "runs", "rerun", "train/1"]
    done = subprocess.run(line, cwd=app.folder, env=app.env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "lr=0.5" in app.log(2)


def test_problems_are_told_in_one_message_and_nothing_is_started(app: App) -> None:
    app.env.pop("COVERAGE_PROCESS_CONFIG", None)  # its tracer is a debugger for Hydra, which then shows all
    done = app.sweep("hydra.launcher.retries=-1", "hydra.launcher.gpus_per_node=99")
    assert done.returncode == 1
    assert "hydra.launcher.retries: got -1" in done.stderr
    assert "hydra.launcher.gpus_per_node: got 99" in done.stderr
    assert "Traceback" not in done.stderr
    assert not app.store.runs.exists()


def test_a_function_that_no_other_process_finds_is_a_problem() -> None:
    from launcher.apps.entry import find_entry  # noqa: PLC0415

    def inner(config: Any) -> None: ...

    with pytest.raises(ConfigError, match="a task function that another process finds"):
        find_entry(inner)


def test_arguments_for_a_hydra_app(app: App) -> None:
    (app.folder / "train.py").write_text(APP.replace('.mode.name == "MULTIRUN"', ".mode.name == 'RUN'"))
    words = [
        "script=train.py", "args_style=hydra", "args.optimizer.lr=0.3", "framework=python", "data=none",
        f"source={app.folder}", "name=train",
    ]  # fmt: skip
    line = [sys.executable, "-m", "launcher", *words]
    done = subprocess.run(line, cwd=app.folder, env=app.env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    outputs = RunFolder(app.store.run("train", 1).root).outputs
    assert OmegaConf.load(outputs / ".hydra/overrides.yaml") == ["optimizer.lr=0.3"]
    assert "lr=0.3" in (outputs / "train.log").read_text()


OPTIONS = ("timeout_min=5", "cpus_per_task=1", "mem_gb=0.2", "array_parallelism=2", "comment=hello")


@pytest.mark.slow
def test_jobs_on_a_cluster(slurm_app: App) -> None:
    """Names that hydra-submitit-launcher has, on real nodes: one array, one member of it fails."""
    done = slurm_app.sweep("mode=number,raise,number", *(f"hydra.launcher.{word}" for word in OPTIONS))
    assert done.returncode == 1, done.stderr
    states = [slurm_app.run(number).state for number in (1, 2, 3)]
    assert states == [State.COMPLETED, State.FAILED, State.COMPLETED], done.stdout + done.stderr
    assert "ValueError: no such luck" in done.stderr
    link = slurm_app.folder / "swept/0"
    assert link.resolve() == slurm_app.run(1).folder.outputs.resolve()
    assert "App lr=0.1 helper=1" in (link / "train.log").read_text()
    assert {slurm_app.run(number).submit["job"]["index"] for number in (1, 2, 3)} == {0, 1, 2}
