"""The check of the locked requirements: left out in one line where the service does not answer."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import audit

if TYPE_CHECKING:
    from collections.abc import Iterator


class _Service(BaseHTTPRequestHandler):
    def do_GET(self) -> None:  # the name that http.server looks for
        self.send_response(200 if self.path == "/pypi/known/1.0/json" else 404)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its name there
        """Print nothing."""


@pytest.fixture
def service() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _Service) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/pypi"
        server.shutdown()
        thread.join()


def locked(folder: Path, name: str) -> Path:
    file = folder / "base.txt"
    file.write_text(f"{name}==1.0 \\\n    --hash=sha256:0\n")
    return file


def test_a_service_that_knows_a_requirement_is_asked(service: str, tmp_path: Path) -> None:
    assert audit.problem(service, locked(tmp_path, "known")) is None


def test_a_service_that_does_not_answer_is_told_in_one_line(
    service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    locked(tmp_path, "unknown")
    monkeypatch.setattr(audit, "REQUIREMENTS", tmp_path)
    for address, why in ((service, "404"), ("http://127.0.0.1:1/pypi", "refused")):
        monkeypatch.setattr(audit, "SERVICE", address)
        assert audit.main() == 0
        [line] = capsys.readouterr().out.splitlines()
        assert line.startswith(f"pip-audit was left out: {address}/unknown/1.0/json: ")
        assert why in line


def test_the_locked_files_are_found() -> None:
    assert [file.name for file in sorted(audit.REQUIREMENTS.glob("*.txt"))] == ["base.txt", "test.txt"]
    assert "pip-audit==" in (audit.REQUIREMENTS / "test.txt").read_text()
