"""Real training of real digits in containers, on images that the launcher builds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.engine.images import BASE
from tests.training.test_training import assert_equal_weights, roles, trained

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.engine.machine import Engine
    from tests.training.conftest import Launched, Launcher

    Submit = Callable[..., Launched]

pytestmark = [pytest.mark.slow, pytest.mark.tensorflow]


@pytest.fixture
def submit(launch: Launcher, engine: Engine) -> Submit:
    """Launches whose nodes are containers."""
    base = f"environment.base_image={engine.image(BASE)}"
    return lambda *words: launch(*words, "compute=docker", base, env=engine.variables)


def test_horovod(submit: Submit) -> None:
    """Over MPI without sshd in the image: its MPI and its Horovod are the launcher's doing."""
    done = submit("distribution=horovod", "nodes=2")
    ranks = assert_equal_weights(trained(done), 2)
    assert [rank["local_rank"] for rank in ranks] == [0, 0]
    assert roles(done) == {"worker": 2, "mpirun": 1}
    assert {process["node"] for process in done.run.processes} == {"node0", "node1"}
    environment = done.run.submit["environment"]
    assert environment["image"].startswith("sha256:")
    assert any(package.startswith("horovod @ ") for package in environment["packages"])
