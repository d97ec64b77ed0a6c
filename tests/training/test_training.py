"""Real training of real digits through every framework and distribution, as the README promises."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from launcher.environment.recipe.interpreters import candidates
from launcher.spec import State
from launcher.store.metrics import last_values
from tests.conda_channel import make_channel

if TYPE_CHECKING:
    from launcher.paths import RunFolder
    from tests.training.conftest import Launched, Launcher

pytestmark = pytest.mark.slow
needs_mpi = pytest.mark.skipif(shutil.which("mpirun") is None, reason="no mpirun on PATH")


def trained(done: Launched, at_least: float = 0.95) -> RunFolder:
    """Return the folder of the one run, which must have trained to its accuracy."""
    assert done.code == 0, done.err
    assert done.run.state is State.COMPLETED
    assert last_values(done.run.folder)["test_accuracy"] >= at_least
    return done.run.folder


def left_by(folder: RunFolder, pattern: str) -> list[dict[str, Any]]:
    """Return the JSON files that ranks left in outputs."""
    return [json.loads(path.read_text()) for path in sorted(folder.outputs.glob(pattern))]


def assert_equal_weights(folder: RunFolder, size: int, role: str = "rank") -> list[dict[str, Any]]:
    """Assert that `size` ranks ended with the same weights; return what each wrote."""
    ranks = left_by(folder, f"{role}-*.json")
    assert [rank["rank"] for rank in ranks] == list(range(size))
    assert {rank["size"] for rank in ranks} == {size}
    assert len({rank["weights_sha256"] for rank in ranks}) == 1
    return ranks


def roles(done: Launched) -> Counter[str]:
    """Return how many processes of each role the run had."""
    return Counter(process["role"] for process in done.run.processes)


@pytest.mark.tensorflow
def test_tensorflow_on_one_process_keeps_model_events_source_and_config(launch: Launcher) -> None:
    done = launch()
    folder = trained(done)
    assert (folder.outputs / "model" / "saved_model.pb").is_file()
    assert list(folder.logs.glob("**/events.out.tfevents.*"))
    assert (folder.source / "tf_mnist.py").is_file()
    assert "framework" in folder.config.read_text()
    assert done.run.submit["environment"]["key"] != "current"
    assert "test_accuracy" in done.err
    assert "test_accuracy" in done.out


@pytest.mark.tensorflow
@needs_mpi
@pytest.mark.parametrize("per_node", [1, 2])
def test_horovod_over_mpi_on_two_nodes(launch: Launcher, per_node: int) -> None:
    done = launch("distribution=horovod", "nodes=2", f"processes_per_node={per_node}")
    ranks = assert_equal_weights(trained(done), 2 * per_node)
    assert [rank["local_rank"] for rank in ranks] == list(range(per_node)) * 2
    assert roles(done) == {"worker": 2 * per_node, "mpirun": 1}


@pytest.mark.tensorflow
def test_horovod_over_gloo_on_two_nodes(launch: Launcher) -> None:
    done = launch("distribution=horovod", "nodes=2", "distribution.controller=gloo")
    ranks = assert_equal_weights(trained(done), 2)
    assert [rank["local_rank"] for rank in ranks] == [0, 0]
    assert roles(done) == {"worker": 2, "rendezvous": 1}


@pytest.mark.pytorch
@needs_mpi
def test_horovod_with_pytorch(launch: Launcher) -> None:
    done = launch("distribution=horovod", "nodes=2", "framework=pytorch")
    assert_equal_weights(trained(done), 2)


@pytest.mark.tensorflow
def test_parameter_server_on_two_nodes(launch: Launcher) -> None:
    done = launch("distribution=parameter_server", "nodes=2", "distribution.parameter_server_count=2")
    trained(done)
    assert roles(done) == {"chief": 1, "worker": 2, "ps": 2}


@pytest.mark.tensorflow
@pytest.mark.skipif(not candidates("3.7", None), reason="no Python 3.7 on this machine")
def test_parameter_server_in_the_style_of_tensorflow_1_without_chief(launch: Launcher) -> None:
    done = launch("experiment=tf1_parameter_server", "nodes=2")
    trained(done)
    assert roles(done) == {"worker": 2, "ps": 1}


@pytest.mark.tensorflow
def test_multi_worker_on_two_nodes(launch: Launcher) -> None:
    done = launch("distribution=multi_worker", "nodes=2")
    assert_equal_weights(trained(done), 2, "worker")
    assert roles(done) == {"worker": 2}


@pytest.mark.pytorch
def test_torch_ddp_on_two_nodes(launch: Launcher) -> None:
    # Now and then a thread of PyTorch's Gloo ends a rank by SIGABRT as it is taken down.
    done = launch("framework=pytorch", "distribution=torch", "nodes=2", "retries=1")
    ranks = assert_equal_weights(trained(done), 2)
    assert [rank["local_rank"] for rank in ranks] == [0, 0]


@needs_mpi
@pytest.mark.mpi
def test_mpi_pi_on_two_nodes(launch: Launcher) -> None:
    done = launch("framework=python", "environment=packages", "distribution=mpi", "nodes=2")
    assert done.code == 0, done.err
    assert abs(last_values(done.run.folder)["pi"] - 3.14159265) < 1e-4


@pytest.mark.parametrize(
    "words",
    [(), ("environment.pip_packages=[humanize==4.9.0]",)],
    ids=["framework", "pip_packages"],
)
def test_sklearn(launch: Launcher, words: tuple[str, ...]) -> None:
    done = launch("framework=sklearn", *words)
    trained(done)
    packages = done.run.submit["environment"]["packages"]
    assert any(package.startswith("scikit-learn==") for package in packages)
    assert ("humanize==4.9.0" in packages) == bool(words)


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the channel is made for linux-64")
def test_sklearn_in_a_conda_environment(launch: Launcher, tmp_path: Path) -> None:
    channel = make_channel(tmp_path / "channel").as_uri()
    words = ("environment.conda_packages=[condademo>=3]", f"environment.channels=['{channel}']")
    done = launch("framework=sklearn", *words, env={"LAUNCHER_CACHE": str(tmp_path / "cache")})
    trained(done)
    prefix = Path(done.run.submit["environment"]["prefix"])
    assert list(prefix.glob("conda-meta/condademo-3.1-*.json"))


@pytest.mark.tensorflow
def test_a_rerun_trains_the_frozen_run_again(launch: Launcher) -> None:
    first = trained(launch("args.epochs=3"), 0.8)
    again = launch("runs", "rerun", first.id)
    assert again.code == 0, again.err
    assert again.run.submit["rerun_of"] == first.id
    assert again.run.folder.source.resolve() == first.source.resolve()
    assert (
        again.run.submit["environment"]["key"] == json.loads(first.submit.read_text())["environment"]["key"]
    )
    assert last_values(again.run.folder)["test_accuracy"] == pytest.approx(
        last_values(first)["test_accuracy"], abs=0.02
    )
