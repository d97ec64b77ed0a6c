"""For all tests."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.cluster.fixtures import cgroup_cluster, cluster, hostile_cgroup_cluster, hostile_cluster
from tests.engine.fixtures import engine, registry

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["cgroup_cluster", "cluster", "engine", "hostile_cgroup_cluster", "hostile_cluster", "registry"]

# A shell starts what it puts into the background with SIGINT and SIGQUIT ignored, nohup with SIGHUP, and so
# would be all that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)
for kind in (signal.SIGHUP, signal.SIGQUIT):
    signal.signal(kind, signal.SIG_DFL)

_KINDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Generator[None, object, object]:
    """Give back the signals that a test took: one that is ignored would be so in all that others start."""
    before = [(kind, signal.getsignal(kind)) for kind in _KINDS]
    try:
        return (yield)
    finally:
        for kind, handler in before:
            signal.signal(kind, handler)
