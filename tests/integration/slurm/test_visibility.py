"""What nodes do not see: the run fails within half a minute and says which node and which path."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.paths import StoreFolder
from launcher.spec import State
from tests.integration.slurm.lab import SlurmLab
from tests.integration.slurm.test_environment import SCRIPT, packages

if TYPE_CHECKING:
    from collections.abc import Generator

    from launcher.store.run_state import Run
    from tests.cluster.machine import Cluster

WITHIN_S = 30.0
TWO_NODES = ("distribution=torch", "nodes=2", "compute.nodelist='node[1-2]'")


@contextmanager
def hidden(lab: SlurmLab, node: str, folder: Path) -> Generator[None]:
    """Hide what is in a folder from one node."""
    assert lab.cluster.exec(node, ["mount", "-t", "tmpfs", "tmpfs", str(folder)]).returncode == 0
    try:
        yield
    finally:
        lab.cluster.exec(node, ["umount", "--lazy", str(folder)])


def fails(lab: SlurmLab, *words: str, names: tuple[str, ...]) -> Run:
    """Assert that a launch ends in time, with a cause that names these."""
    lab.submit(*words)
    number = max(lab.store.numbers("mnist"))
    run = lab.over(lab.run(number), 120)
    assert run.state is State.FAILED
    assert run.cause is not None
    assert run.ended is not None
    [queued] = [phase.time for phase in run.phases if phase.state is State.QUEUED]
    assert run.ended - queued < WITHIN_S + (lab.cluster.layout.cache_s if lab.cluster.hostile else 0)
    for name in names:
        assert name in run.cause.message, run.cause
    return run


def test_a_store_that_nodes_do_not_see(lab: SlurmLab) -> None:
    lab.script("pass")
    folder = Path(tempfile.mkdtemp(prefix="launcher-unseen-"))
    try:
        lab.store = StoreFolder(folder / "store")
        lab.env["LAUNCHER_STORE"] = str(lab.store.root)
        fails(lab, "compute.nodelist=node2", names=("node2 does not see the store", str(lab.store.root)))
    finally:
        shutil.rmtree(folder)


def test_a_store_that_another_node_does_not_see(lab: SlurmLab) -> None:
    lab.script("pass")
    lab.store.root.mkdir()
    with hidden(lab, "node2", lab.store.root):
        fails(lab, *TWO_NODES, names=("node2 does not see", str(lab.store.agents)))


def test_an_environment_that_another_node_does_not_see(lab: SlurmLab, tmp_path: Path) -> None:
    lab.script("pass")
    places = tmp_path / "cache" / "environments"
    places.mkdir(parents=True)
    with hidden(lab, "node2", places):
        fails(lab, *packages(tmp_path), *TWO_NODES, names=("node2 does not see", str(places)))


def test_data_that_a_node_does_not_see(lab: SlurmLab, tmp_path: Path) -> None:
    lab.script("pass")
    data = tmp_path / "data" / "images"
    data.mkdir(parents=True)
    with hidden(lab, "node1", data.parent):
        words = ("data=none", f"+data.inputs.images={{uri: {data}}}")
        fails(lab, *words, *TWO_NODES, names=("node1 does not see", str(data)))


def test_a_python_that_nodes_do_not_have(lab: SlurmLab) -> None:
    lab.script("pass")
    run = fails(
        lab, "compute.python=/nonexistent", "compute.nodelist=node3", names=("node3", "compute.python")
    )
    assert run.cause is not None
    assert run.cause.last_lines[-1] == "node3 has none of these: /nonexistent"


def test_a_fresh_environment_that_a_node_has_looked_for_before(
    hostile_cluster: Cluster, tmp_path: Path
) -> None:
    lab = SlurmLab(tmp_path, hostile_cluster)
    lab.script(SCRIPT)
    assert lab.launch(*packages(tmp_path), "compute.nodelist=node1").returncode == 0
    [made] = list((tmp_path / "cache" / "environments").iterdir())
    away = made.rename(tmp_path / "away")
    assert lab.cluster.exec("node2", ["ls", str(made)]).returncode != 0  # it remembers that for 30 s
    away.rename(made)
    lab.submit(*packages(tmp_path), *TWO_NODES)
    run = lab.over(lab.run(2), 90)
    assert run.state is State.COMPLETED, run
