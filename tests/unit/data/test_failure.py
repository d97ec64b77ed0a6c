"""Inputs that cannot be fetched: what is said, with servers that fail in each way."""

from __future__ import annotations

import errno
import http.server
import os
import socket
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from launcher.data import Inputs, fetch
from launcher.data.failure import fetch_error
from launcher.data.input import Input
from launcher.errors import LauncherError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

pytest.importorskip("fsspec")
pytest.importorskip("aiohttp")


class Silent:
    """Hears of no progress."""

    def step(self, text: str, done: float | None = None) -> None:
        del text, done


class Answers(http.server.BaseHTTPRequestHandler):
    """Answers with the status that a path names; of `short` it sends less than it promised."""

    def do_GET(self) -> None:
        name = self.path.partition("?")[0].rpartition("/")[2]
        if name == "hang":
            self.server.release.wait(30)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]  # its own
            return
        status = int(name) if name.isdigit() else 200
        self.send_response(status)
        self.send_header("Content-Length", "100" if name == "short" else "4")
        self.end_headers()
        self.wfile.write(b"data")

    do_HEAD = do_GET  # noqa: N815  # the base class's name

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
        del format, args


@pytest.fixture
def server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as served:
        release = threading.Event()
        setattr(served, "release", release)  # noqa: B010  # the class has no such attribute
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{served.server_port}"
        release.set()
        served.shutdown()


@contextmanager
def closed_port() -> Generator[int]:
    """Give a port on which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def failure(cache: Path, uri: str, files: str = "") -> str:
    inputs = Inputs(inputs={"faces": {"uri": uri, "files": files}})
    with pytest.raises(LauncherError) as caught:
        inputs.prepare(cache, Silent())
    assert list((cache / "data").iterdir()) == []
    assert list((cache / "leases").iterdir()) == []
    return str(caught.value)


AGAIN = "Check the address and the server, then launch again"


@pytest.mark.parametrize("files", ["", "a|a.gz"])
def test_a_refused_connection(tmp_path: Path, files: str) -> None:
    with closed_port() as port:
        uri = f"http://127.0.0.1:{port}/x"
        text = failure(tmp_path, uri, files)
    assert text == f"data.inputs.faces.uri: cannot fetch {uri}: connection refused. {AGAIN}"


@pytest.mark.parametrize(
    ("path", "files", "reason"),
    [
        ("404", "", "not found"),
        ("x", "404|404", "not found: 404 or 404"),
        ("500", "", f"HTTP 500. {AGAIN}"),
        ("x", "503|a", f"HTTP 503. {AGAIN}"),
        ("403", "", "access denied (HTTP 403). Check the credentials, then launch again"),
        ("x", "401|404", "access denied (HTTP 401)"),
    ],
)
def test_what_a_server_answers(server: str, tmp_path: Path, path: str, files: str, reason: str) -> None:
    text = failure(tmp_path, f"http://{server}/{path}", files)
    assert text.startswith(f"data.inputs.faces.uri: cannot fetch http://{server}/{path}: {reason}")


def test_another_name_is_tried_where_a_server_denies_the_first(server: str, tmp_path: Path) -> None:
    inputs = Inputs(inputs={"faces": {"uri": f"http://{server}/x", "files": "403|404|a"}})
    folder = Path(inputs.prepare(tmp_path, Silent())["faces"])
    assert [(path.name, path.read_bytes()) for path in folder.iterdir()] == [("a", b"data")]


def test_a_transfer_that_ends_early(server: str, tmp_path: Path) -> None:
    text = failure(tmp_path, f"http://{server}/short")
    assert "not completed" in text.lower() or "payload" in text.lower(), text


def test_a_server_that_never_answers(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "SILENT_S", 0.3)
    assert ": no answer in time. " in failure(tmp_path, f"http://{server}/hang")


def test_a_host_that_does_not_exist(tmp_path: Path) -> None:
    assert ": unknown host. " in failure(tmp_path, "http://nonesuch.invalid/x")


def test_no_credentials_are_shown(server: str, tmp_path: Path) -> None:
    text = failure(tmp_path, f"http://me:hunter2@{server}/500?signature=hunter3")
    assert f"http://***@{server}/500?signature=***: HTTP 500" in text
    assert "hunter" not in text


def test_a_full_disk(tmp_path: Path) -> None:
    error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    text = str(fetch_error(Input(name="faces", uri="s3://a/b"), tmp_path, error))
    assert text == (
        f"data.inputs.faces.uri: cannot fetch s3://a/b: no space left in {tmp_path}. "
        "LAUNCHER_CACHE names another folder"
    )


def test_an_error_without_words(tmp_path: Path) -> None:
    class OddError(Exception):
        status: Any = "none"

    text = str(fetch_error(Input(name="faces", uri="s3://a/b"), tmp_path, OddError()))
    assert ": OddError. " in text
