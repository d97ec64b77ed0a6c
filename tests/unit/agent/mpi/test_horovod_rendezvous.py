"""Horovod's rendezvous server, as this project starts it; tests/training trains with the real one."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from launcher.agent.base import network

SCRIPT = Path(network.__file__).parents[1] / "mpi" / "horovod_rendezvous.py"

# What the script uses of Horovod 0.28's horovod/runner, with the bases of its classes.
HOSTS = """
def parse_hosts(text):
    return text.split(",")

def get_host_assignments(hosts, size):
    return hosts, size
"""
SERVER = """
import socketserver
from http.server import HTTPServer, SimpleHTTPRequestHandler

class RendezvousHandler(SimpleHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

class RendezvousHTTPServer(socketserver.ThreadingMixIn, HTTPServer, object):
    def __init__(self, addr, handler, verbose):
        super().__init__(addr, handler)

    def init(self, plan):
        assert plan == (["node0:1", "node1:1"], 2)
"""


def test_it_listens_on_the_address_of_the_run_alone_and_tells_nothing_of_files(tmp_path: Path) -> None:
    for name, text in {"common/util/hosts.py": HOSTS, "http/http_server.py": SERVER}.items():
        path = tmp_path / "horovod" / "runner" / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
    with socket.create_server(("127.0.0.2", 0)) as free:
        port = free.getsockname()[1]
    argv = [sys.executable, SCRIPT, "127.0.0.2", str(port), "node0:1,node1:1", "2"]
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    with subprocess.Popen(argv, env=env, cwd=tmp_path, stderr=subprocess.DEVNULL) as server:
        try:
            until = time.monotonic() + 60
            while not network.listens(port):
                assert server.poll() is None
                assert time.monotonic() < until
                time.sleep(0.02)
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port), timeout=5)
            answers: list[int] = []
            for method in ("GET", "HEAD"):
                client = http.client.HTTPConnection("127.0.0.2", port, timeout=60)
                client.request(method, "/horovod/runner")
                answers.append(client.getresponse().status)
                client.close()
            assert answers == [200, 501]
        finally:
            server.kill()
