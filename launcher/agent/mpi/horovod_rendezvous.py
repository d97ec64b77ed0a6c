"""Horovod's own rendezvous server on a given address, run with the Python of the environment.

It trusts whoever reaches it, so it listens on the one interface of the run alone.

Usage: horovod_rendezvous.py ADDRESS PORT HOST:SLOTS[,HOST:SLOTS…] SIZE
"""

# pyright: basic, reportMissingImports=false
# Horovod is in the environment of the run only, and has no types.

import socketserver
import sys

from horovod.runner.common.util.hosts import get_host_assignments, parse_hosts
from horovod.runner.http.http_server import RendezvousHandler, RendezvousHTTPServer


class _Handler(RendezvousHandler):
    def do_HEAD(self) -> None:  # noqa: N802  # the name that http.server looks for
        """Refuse what Horovod does not ask for: it would tell of files in the folder of the run."""
        self.send_error(501)


class _Server(RendezvousHTTPServer):
    def server_bind(self) -> None:
        """Ask no name server for the name of an address, as HTTPServer does: the answer may take long."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]


def main() -> None:
    """Serve until ended."""
    address, port, hosts, size = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    server = _Server((address, port), _Handler, False)
    server.init(get_host_assignments(parse_hosts(hosts), size))
    server.serve_forever()


main()
