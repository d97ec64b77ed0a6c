"""Real training of real digits on the nodes of a Slurm cluster."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.training.test_training import assert_equal_weights, roles, trained

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cluster.machine import Cluster
    from tests.training.conftest import Launched, Launcher

    Submit = Callable[..., Launched]

pytestmark = pytest.mark.slow
needs_mpi = pytest.mark.skipif(shutil.which("mpirun") is None, reason="no mpirun on PATH")


@pytest.fixture
def submit(launch: Launcher, cluster: Cluster) -> Submit:
    """Launches whose runs are jobs of a cluster."""
    return lambda *words: launch(*words, "compute=slurm", env=cluster.variables)


def hosts(done: Launched, role: str = "worker") -> list[str]:
    """Return the node of each process of a role."""
    return [process["node"] for process in done.run.processes if process["role"] == role]


@pytest.mark.tensorflow
@needs_mpi
@pytest.mark.mpi
@pytest.mark.parametrize("controller", ["mpi", "gloo"])
def test_horovod(submit: Submit, controller: str) -> None:
    done = submit(
        "distribution=horovod", "nodes=2", "processes_per_node=2", f"distribution.controller={controller}"
    )
    ranks = assert_equal_weights(trained(done), 4)
    assert [rank["local_rank"] for rank in ranks] == [0, 1, 0, 1]
    assert hosts(done) == ["node1", "node1", "node2", "node2"]
    assert roles(done) == {"worker": 4, "mpirun" if controller == "mpi" else "rendezvous": 1}


@pytest.mark.tensorflow
def test_parameter_server(submit: Submit) -> None:
    done = submit("distribution=parameter_server", "nodes=3", "distribution.parameter_server_count=2")
    trained(done)
    assert (hosts(done), hosts(done, "ps")) == (["node1", "node2", "node3"], ["node1", "node2"])
    assert hosts(done, "chief") == ["node1"]


@pytest.mark.tensorflow
def test_multi_worker(submit: Submit) -> None:
    done = submit("distribution=multi_worker", "nodes=2")
    assert_equal_weights(trained(done), 2, "worker")
    assert hosts(done) == ["node1", "node2"]


@pytest.mark.pytorch
def test_torch(submit: Submit) -> None:
    # See test_training.py for why it may take two attempts.
    done = submit("framework=pytorch", "distribution=torch", "nodes=2", "retries=1")
    ranks = assert_equal_weights(trained(done), 2)
    assert [rank["local_rank"] for rank in ranks] == [0, 0]
    assert hosts(done) == ["node1", "node2"]
