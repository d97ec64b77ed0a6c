"""Calls that take long end when the engine answers no others; errors of the transport are in words."""

from __future__ import annotations

import socketserver
import threading
import time
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING

import pytest
from docker import APIClient

from launcher.engine import long_calls, made
from launcher.engine.client import in_words
from launcher.engine.workbench import Workbench, build
from launcher.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path


class Handler(BaseHTTPRequestHandler):
    """Never answers a commit, and cuts the answer to a build; a file says that it answers nothing at all."""

    protocol_version = "HTTP/1.1"

    def address_string(self) -> str:
        return "client"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its name there
        del format, args

    def do_GET(self) -> None:
        if getattr(self.server, "hangs").is_set():  # noqa: B009  # of `Server`
            time.sleep(60)
        body = b'{"ApiVersion": "1.41"}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_DELETE(self) -> None:
        body = b'{"message": "removal of container x is already in progress"}'
        self.send_response(409)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        if "/wait" in self.path:
            self.send_response(200)
            self.send_header("Content-Length", "9")
            self.end_headers()
            time.sleep(60)
        if "/commit" in self.path:
            time.sleep(60)
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"17\r\n" + b'{"stream": "Step 1/2"}\n'[:10])
        self.close_connection = True


class Server(socketserver.ThreadingUnixStreamServer):
    """An engine."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, path: str) -> None:
        super().__init__(path, Handler)
        self.hangs = threading.Event()


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    path = tmp_path / "engine"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    monkeypatch.setattr(long_calls, "LOOK_S", 0.1)
    monkeypatch.setattr(long_calls, "ANSWER_S", 1)
    with Server(str(path)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def client(server: Server) -> Iterator[APIClient]:
    client = APIClient(base_url=f"unix://{server.server_address}", version="1.41", timeout=1)
    yield client
    client.close()


def test_a_commit_ends_once_the_engine_answers_nothing(server: Server, client: APIClient) -> None:
    threading.Timer(1.5, server.hangs.set).start()  # beyond the limit of other calls
    begin = time.monotonic()
    with pytest.raises(EngineError, match=r"did not answer for 1 s"):
        Workbench(client, "container").commit("launcher/environment:key", {}, {})
    assert time.monotonic() - begin > 1.5


def test_an_answer_that_is_cut_short_is_told_in_words(client: APIClient) -> None:
    with pytest.raises(EngineError, match=r"^the engine closed the connection: it was stopped"):
        build(client, "FROM x\n", "tag", lambda _line: None)


def test_a_call_that_is_given_up_stops_at_its_next_item(client: APIClient) -> None:
    given = threading.Event()
    more = threading.Event()

    def items() -> Generator[int]:
        yield 1
        more.wait(10)
        yield 2
        given.set()
        yield 3

    stream = long_calls.stream(client, items)
    assert next(stream) == 1
    stream.close()
    more.set()
    assert not given.wait(0.2)
    assert client.timeout == 1


def test_a_removal_that_the_engine_takes_long_for_is_left_to_it(
    client: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(made, "REMOVAL_S", 1)
    made.remove_container(client, "x")


def test_an_answer_that_stops_in_the_middle_is_told_in_words(client: APIClient) -> None:
    with pytest.raises(EngineError, match=r"^the engine did not answer to the end in time"), in_words():
        client.wait("x", timeout=1)


def test_an_engine_that_answers_late_is_told_in_words(server: Server, client: APIClient) -> None:
    server.hangs.set()
    with pytest.raises(EngineError, match=r"^the engine did not answer for 1 s"), in_words():
        client.ping()
