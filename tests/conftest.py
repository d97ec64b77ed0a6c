"""For all tests."""

from __future__ import annotations

import signal

from tests.cluster.fixtures import cgroup_cluster, cluster, hostile_cluster
from tests.engine.fixtures import engine, registry

__all__ = ["cgroup_cluster", "cluster", "engine", "hostile_cluster", "registry"]

# A shell starts what it puts into the background with SIGINT and SIGQUIT ignored, nohup with SIGHUP, and so
# would be all that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)
for kind in (signal.SIGHUP, signal.SIGQUIT):
    signal.signal(kind, signal.SIG_DFL)
