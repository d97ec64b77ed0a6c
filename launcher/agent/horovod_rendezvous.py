"""Horovod's own rendezvous server on a given port, run with the Python of the environment.

Usage: horovod_rendezvous.py PORT HOST:SLOTS[,HOST:SLOTS…] SIZE
"""

# pyright: basic, reportMissingImports=false
# Horovod is in the environment of the run only, and has no types.

import sys

from horovod.runner.common.util.hosts import get_host_assignments, parse_hosts
from horovod.runner.http.http_server import RendezvousHandler, RendezvousHTTPServer


def main() -> None:
    """Serve until ended."""
    port, hosts, size = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    server = RendezvousHTTPServer(("", port), RendezvousHandler, False)
    server.init(get_host_assignments(parse_hosts(hosts), size))
    server.serve_forever()


main()
