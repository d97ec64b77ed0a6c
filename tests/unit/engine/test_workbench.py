"""Building containers, against an engine that answers late."""

import json
import socketserver
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from docker import APIClient

from launcher.engine.workbench import Workbench
from launcher.errors import EngineError

LATE_S = 1.5


class Handler(BaseHTTPRequestHandler):
    """Answers what a commit asks for, the commit itself after `LATE_S`."""

    protocol_version = "HTTP/1.1"

    def address_string(self) -> str:
        return "client"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its name there
        del format, args

    def _answer(self, code: int, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self._answer(200, {"ApiVersion": "1.41"})

    def do_POST(self) -> None:
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                self.rfile.read(size + 2)
            self.rfile.readline()
        else:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if "/commit" in self.path:
            time.sleep(LATE_S)
            self._answer(201, {"Id": "sha256:made"})
        elif "/build" in self.path:
            self._answer(200, {"aux": {"ID": "sha256:labelled"}})
        else:
            time.sleep(LATE_S)
            self._answer(201, {"Id": "exec"})


@pytest.fixture
def client(tmp_path: Path) -> Iterator[APIClient]:
    path = tmp_path / "engine"
    with socketserver.ThreadingUnixStreamServer(str(path), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        made = APIClient(base_url=f"unix://{path}", version="1.41", timeout=1)
        yield made
        made.close()
        server.shutdown()


def test_a_large_image_is_kept_however_long_that_takes(client: APIClient) -> None:
    bench = Workbench(client, "container")
    bench.commit("launcher/environment:key", {"key": "value"}, {})
    assert client.timeout == 1
    with pytest.raises(EngineError):  # everything else has its limit
        bench.run(["true"], {}, "0:0", None, lambda _: None)
