"""Hydra's own way: what it shows, and other people's sweepers; each in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import launcher
from launcher.config.command_line import parse
from launcher.config.hydra_cli import is_foreign, product_version
from launcher.config.load import Loader

REPOSITORY = Path(launcher.__file__).parents[1]

SWEEPER = '''
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper

class Twice(Sweeper):
    """Asks for one job, then for one that depends on its value; as sweepers that search do."""

    def __init__(self, key):
        self.key = key

    def setup(self, *, hydra_context, task_function, config):
        self.hydra_context, self.config = hydra_context, config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config)

    def sweep(self, arguments):
        fixed = [word for word in arguments if not word.startswith(self.key)]
        [first] = self.launcher.launch([[*fixed, f"{self.key}=3"]], initial_job_idx=0)
        rest = self.launcher.launch(
            [[*fixed, f"{self.key}={first.return_value + 1}"], [*fixed, f"{self.key}=-1"]], initial_job_idx=1)
        print("TOLD", [job.status.name for job in rest], rest[0].return_value, self.config.hydra.sweep.dir)

ConfigStore.instance().store(
    group="hydra/sweeper", name="twice", node={"_target_": "hydra_plugins.twice.Twice", "key": "args.x"})
'''

SCRIPT = """
import json, os, sys
x = float(sys.argv[sys.argv.index("-x") + 1])
assert x > 0, x
with open(os.environ["LAUNCHER_METRICS"], "a") as metrics:
    metrics.write(json.dumps({"name": "square", "value": x * x, "step": 0, "time": 0}) + "\\n")
"""


def run(place: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join([str(place / "site"), str(REPOSITORY)])
    return subprocess.run(
        [sys.executable, "-m", "launcher", *words],
        env={**os.environ, "PYTHONPATH": paths, **env},
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_the_configuration_is_shown(place: Path) -> None:
    shown = run(place, "--cfg", "job", "distribution=horovod", "name=mine")
    assert shown.returncode == 0, shown.stderr
    assert "script: tf_mnist_horovod.py\n" in shown.stdout
    assert "name: mine\n" in shown.stdout
    assert "hydra" not in shown.stdout
    wrong = run(place, "--cfg", "job", "nodes=x", "copmute=local")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr == (
        "nodes: got 'x'; expected a whole number, such as 2\n"
        "copmute: got 'local'; expected a known key. Did you mean compute?\n"
    )


def test_help_lists_groups_and_keys(place: Path) -> None:
    (place / "own" / "experiment").mkdir(parents=True)
    (place / "own" / "experiment" / "ours.yaml").write_text("# @package _global_\nnodes: 1\n")
    told = run(place, "--help", "--config-dir", "own")
    assert told.returncode == 0, told.stderr
    assert "distribution: horovod, mpi, multi_worker, parameter_server, single, torch\n" in told.stdout
    [experiments] = [line for line in told.stdout.splitlines() if line.startswith("experiment: ")]
    assert {"mnist_horovod", "ours"} < set(experiments.removeprefix("experiment: ").split(", "))
    assert "\nprocesses_per_node: 1\n" in told.stdout
    assert "schema" not in told.stdout


def test_words_are_completed(place: Path) -> None:
    line = "launcher distribution=h"
    done = run(place, "-sc", "query=bash", COMP_LINE=line, COMP_POINT=str(len(line)))
    assert done.stdout.split() == ["distribution=horovod"]
    done = run(place, "-sc", "query=bash", COMP_LINE="launcher ", COMP_POINT="9")
    assert {"nodes=", "experiment=", "compute="} < set(done.stdout.split())
    assert not {"schema", "hydra", "hydra."} & set(done.stdout.split())


def test_hydras_own_help_has_lines(place: Path) -> None:
    told = run(place, "--hydra-help")
    assert told.returncode == 0
    assert "\n--help,-h : Application's help\n" in told.stdout
    assert run(place, "--resolve").stderr == "--resolve: this flag goes with --cfg\n"


def test_the_version_is_ours(place: Path) -> None:
    assert run(place, "--version").stdout == f"launcher {product_version()}\n"


def test_problems_end_with_two_and_no_traceback(place: Path) -> None:
    wrong = run(place, "-m", "nodes=1,x", "framework=python", "script=x.py", "source=src")
    assert (wrong.returncode, wrong.stderr) == (2, "nodes: got 'x'; expected a whole number, such as 2\n")
    assert run(place, "nodes=1,2", "--nope").stderr.startswith("--nope: this flag is unknown")
    assert not (place / "store").exists()


@pytest.fixture
def sweeper(place: Path) -> Path:
    (place / "site" / "hydra_plugins").mkdir(parents=True)
    (place / "site" / "hydra_plugins" / "twice.py").write_text(SWEEPER)
    (place / "src" / "square.py").write_text(SCRIPT)
    return place


BASE = ["framework=python", "source=src", "script=square.py", "data=none", "name=sq", "objective=square"]


def test_another_sweeper_searches_with_our_runs(sweeper: Path) -> None:
    done = run(sweeper, "-m", "hydra/sweeper=twice", "hydra.sweep.dir=found", "tags.a=1.0", *BASE)
    assert done.returncode == 0, done.stderr
    assert "TOLD ['COMPLETED', 'FAILED'] 100.0 found" in done.stdout
    assert (sweeper / "found").is_dir()
    runs = sweeper / "store" / "runs" / "sq"
    assert sorted(run.name for run in runs.iterdir() if run.name.isdigit()) == ["1", "2", "3"]
    assert json.loads((runs / "2" / "spec.json").read_text())
    assert "a: '1.0'" in (runs / "2" / "config.yaml").read_text()


def test_a_file_may_choose_the_sweeper(sweeper: Path) -> None:
    (sweeper / "conf").mkdir()
    (sweeper / "conf" / "config.yaml").write_text(
        "defaults:\n  - launcher\n  - _self_\n  - override hydra/sweeper: twice\n"
    )
    line = parse(["-m", "--config-dir", str(sweeper / "conf"), "args.x=1,2"])
    environment = {"PYTHONPATH": os.pathsep.join([str(sweeper / "site"), str(REPOSITORY)])}
    done = run(sweeper, "-m", "--config-dir", "conf", *BASE, **environment)
    assert "TOLD ['COMPLETED', 'FAILED'] 100.0" in done.stdout, done.stderr
    assert not is_foreign(Loader(["-m", "args.x=1,2"], sweeper))
    assert line.conf is not None


def test_hydras_own_sweeper_ends_with_a_failed_run(sweeper: Path) -> None:
    done = run(sweeper, "-m", "hydra/sweeper=basic", "args.x=1,-1", "hydra.sweep.dir=found", *BASE)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("sq/2 Failed: ")


def test_our_sweeper_works_under_another_launcher(sweeper: Path) -> None:
    done = run(sweeper, "-m", "hydra/launcher=basic", "args.x=1,2", "hydra.sweep.dir=found", *BASE)
    assert done.returncode == 0, done.stderr
    assert len([run for run in (sweeper / "store" / "runs" / "sq").iterdir() if run.name.isdigit()]) == 2


def test_problems_with_another_sweeper_are_told_the_same_way(sweeper: Path) -> None:
    done = run(sweeper, "-m", "hydra/sweeper=twice", "nodes=x", "args.x=1,2", *BASE)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        2,
        "nodes: got 'x'; expected a whole number, such as 2",
    )
    done = run(sweeper, "-m", "hydra/sweeper=nope", *BASE)
    assert done.returncode == 2
    assert "hydra/sweeper: got 'nope'; expected one of basic, launcher, twice" in done.stderr
