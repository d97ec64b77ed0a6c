"""A web server that gives nothing without a login or a signature: packages, a git repository, data."""

from __future__ import annotations

import base64
import functools
import http.server
import subprocess
import threading
import zipfile
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path


class LockedServer:
    """The server while it runs."""

    def __init__(self, folder: Path, login: str, signature: str, address: str) -> None:
        self.folder = folder
        self.login = login
        self.signature = signature
        handler = functools.partial(_Handler, directory=str(folder))
        self.http = http.server.ThreadingHTTPServer((address, 0), handler)
        self.http.daemon_threads = True
        _Handler.accepted = (base64.b64encode(login.encode()).decode(), signature)

    @property
    def host(self) -> str:
        """Host and port."""
        return f"{self.http.server_address[0]}:{self.http.server_port}"

    def address(self, path: str, *, scheme: str = "http") -> str:
        """Return an address with the login."""
        return f"{scheme}://{self.login}@{self.host}/{path}"

    def signed(self, path: str) -> str:
        """Return an address with a signature in its query."""
        return f"http://{self.host}/{path}?X-Amz-Date=20260101&X-Amz-Signature={self.signature}"


class _Handler(http.server.SimpleHTTPRequestHandler):
    accepted: tuple[str, str] = ("", "")

    def do_GET(self) -> None:  # the name that http.server calls
        login, signature = self.accepted
        query = parse_qs(urlsplit(self.path).query)
        if self.headers.get("Authorization") != f"Basic {login}" and query.get("X-Amz-Signature") != [
            signature
        ]:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="locked"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        super().do_GET()

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # as http.server has it
        """Write nothing."""


@contextmanager
def locked_server(
    folder: Path, login: str, signature: str, address: str = "127.0.0.1"
) -> Generator[LockedServer]:
    """Serve a folder."""
    folder.mkdir(exist_ok=True)
    server = LockedServer(folder, login, signature, address)
    thread = threading.Thread(target=server.http.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.http.shutdown()
        server.http.server_close()
        thread.join()


def put_wheel(folder: Path, name: str) -> str:
    """Put a wheel of one module and its page in an index into a folder; return the name of its file."""
    file = f"{name}-1.0-py3-none-any.whl"
    page = folder / "simple" / name
    page.mkdir(parents=True)
    with zipfile.ZipFile(folder / file, "w") as wheel:
        info = f"{name}-1.0.dist-info/"
        wheel.writestr(f"{name}.py", "")
        wheel.writestr(info + "METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(info + "RECORD", "")
    (page / "index.html").write_text(f'<a href="../../{file}">{file}</a>')
    return file


def put_repository(folder: Path, name: str) -> None:
    """Put a bare git repository with a package into a folder, as any web server can give it."""
    tree = folder.with_name(f"{folder.name}-{name}")
    tree.mkdir()
    (tree / f"{name}.py").write_text("")
    (tree / "setup.py").write_text(
        f"from setuptools import setup\nsetup(name='{name}', version='1.0', py_modules=['{name}'])\n"
    )
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "first"]):
        subprocess.run(["git", *words], cwd=tree, check=True)
    bare = folder / f"{name}.git"
    subprocess.run(["git", "clone", "-q", "--bare", str(tree), str(bare)], check=True)
    subprocess.run(["git", "update-server-info"], cwd=bare, check=True)
