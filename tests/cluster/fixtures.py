"""Clusters for tests, each started once a session when a test first asks for it."""

from __future__ import annotations

import shutil
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from launcher.paths import cache_root
from tests.cluster.layout import DEFAULT_ROOT, Layout
from tests.cluster.machine import Cluster, up
from tests.cluster.requirements import missing
from tests.sessions import claimed_root, leave_out

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of four nodes, which see `cluster.shared` and every `tmp_path`; /tmp is their own."""
    with _session(Layout(shared_dirs=_shared(tmp_path_factory))) as made:
        yield made


@pytest.fixture(scope="session")
def hostile_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster with stale shared folders, a dead interface, a firewall, and 127.0.1.1 for its own name."""
    with _session(Layout(hostile=True, shared_dirs=_shared(tmp_path_factory))) as made:
        yield made


@pytest.fixture(scope="session")
def cgroup_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster that holds jobs to their memory and their GPUs."""
    with _session(Layout(cgroup=True, shared_dirs=_shared(tmp_path_factory))) as made:
        yield made


@pytest.fixture(scope="session")
def hostile_cgroup_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A hostile cluster that holds jobs to their memory and their GPUs."""
    wanted = Layout(hostile=True, cgroup=True, shared_dirs=_shared(tmp_path_factory))
    with _session(wanted) as made:
        yield made


def _shared(factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """Return the folders that nodes have to see: where tests write, and below /tmp also what they run."""
    own = (Path(__file__).parents[2], Path(sys.prefix), cache_root())
    temporary = Path(tempfile.gettempdir()).resolve()
    below = (path for path in own if {Path("/tmp"), temporary} & set(path.resolve().parents))
    found = (factory.getbasetemp(), *below)
    return tuple(path for path in found if not set(path.parents) & set(found))


@contextmanager
def _session(wanted: Layout) -> Generator[Cluster]:
    leave_out("Slurm", missing(cgroup=wanted.cgroup))
    with claimed_root(DEFAULT_ROOT) as root:
        made = up(replace(wanted, root=root))
        try:
            yield made
        finally:
            made.down()
            shutil.rmtree(root)
