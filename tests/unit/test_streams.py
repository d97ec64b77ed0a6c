"""Commands whose standard descriptors are closed, full, or read by nobody."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from launcher import streams

REPOSITORY = Path(__file__).parents[2]
CLOSED = "standard output cannot be written: Bad file descriptor\n"
FULL = "standard output cannot be written: No space left on device\n"
PRINTS = (
    ["runs", "list"],
    ["runs", "list", "--json"],
    ["runs", "--help"],
    ["--version"],
    ["--cfg", "job"],
    ["help"],
    ["completion", "bash"],
    ["framework=python", "source=src", "script=x.py", "data=none", "dry_run=true"],
)


def shell(
    folder: Path, redirection: str, words: list[str], stdout: int = subprocess.PIPE
) -> subprocess.CompletedProcess[str]:
    """Run a command of the launcher with a redirection of sh."""
    (folder / "src").mkdir(exist_ok=True)
    (folder / "src" / "x.py").touch()
    line = f'exec "$@" {redirection}'
    argv = ["sh", "-c", line, "sh", sys.executable, "-m", "launcher", *words]
    env = {**os.environ, "LAUNCHER_CACHE": str(folder / "cache"), "PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(
        argv, cwd=folder, env=env, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False, timeout=120
    )


@pytest.mark.parametrize("words", PRINTS, ids=" ".join)
@pytest.mark.parametrize(
    ("redirection", "err"), [(">&-", CLOSED), (">/dev/full", FULL), ("<&- >&- 2>&-", "")]
)
def test_what_cannot_be_printed_is_a_failure_in_one_line(
    tmp_path: Path, redirection: str, err: str, words: list[str]
) -> None:
    done = shell(tmp_path, redirection, words)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", err)


@pytest.mark.parametrize("words", PRINTS, ids=" ".join)
def test_standard_input_and_messages_are_not_needed(tmp_path: Path, words: list[str]) -> None:
    whole = shell(tmp_path, "", words)
    assert whole.stdout
    for redirection in ("<&-", "2>&-", "2>/dev/full", "<&- 2>&-"):
        done = shell(tmp_path, redirection, words)
        assert (done.returncode, done.stdout) == (0, whole.stdout)


@pytest.mark.parametrize("redirection", [">&-", "2>&-", "2>/dev/full", "<&- >&- 2>&-"])
@pytest.mark.parametrize("words", [["runs", "show", "none"], ["runs", "none"], ["rnus"], ["nodes=0"]])
def test_bad_input_stays_bad_input(tmp_path: Path, redirection: str, words: list[str]) -> None:
    done = shell(tmp_path, redirection, words)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    assert bool(done.stderr) == (redirection == ">&-")


def test_what_a_command_does_counts_not_who_reads(tmp_path: Path) -> None:
    done = shell(tmp_path, ">&-", ["init", "new"])
    assert (done.returncode, done.stderr) == (0, CLOSED)
    assert (tmp_path / "new" / "pyproject.toml").exists()


@pytest.mark.parametrize("words", PRINTS, ids=" ".join)
def test_a_reader_that_has_gone_is_no_failure(tmp_path: Path, words: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = shell(tmp_path, "", words, stdout=writer)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_pipe_that_somebody_made_non_blocking_is_waited_for() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    code = (
        "from launcher import streams; streams.open_standard(); print('x' * 3_000_000); streams.report();"
        "import os; os._exit(streams.print_code())"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=writer, cwd=REPOSITORY)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        assert len(pipe.read()) == 3_000_001
    assert process.wait(60) == 0


def test_text_is_written_as_the_bytes_that_it_was() -> None:
    assert streams.encode("café \udce9 \ud800") == "café ".encode() + b"\xe9 \\ud800"
    with pytest.raises(UnicodeDecodeError):
        b"\xe9".decode("utf-8", streams.ERRORS)


def test_other_streams_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert streams.output_error() is None
    monkeypatch.setattr(sys, "stdout", None)  # as Python leaves a closed one
    assert (streams.output_error(), streams.print_code(3)) == (None, 3)
