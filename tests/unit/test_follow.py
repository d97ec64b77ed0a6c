"""What a launch shows: the view, and following runs from their folders."""

from __future__ import annotations

import io
import signal
from typing import TYPE_CHECKING

import pytest

from launcher.agent.base import atomic_json, process_identity
from launcher.errors import NotFoundError
from launcher.follow import Follower, StopSignal, wait
from launcher.paths import RunFolder
from launcher.store.logs import LogReader
from launcher.store.runs import read_run
from launcher.tables import align
from launcher.view import View, duration

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (59.94, "59.9 s"), (60, "1 min 00 s"), (245, "4 min 05 s"), (7380, "2 h 03 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_tables_are_aligned() -> None:
    assert align([("run", "state"), ("mnist/10", "x")]) == ["run       state", "mnist/10  x"]
    assert align([]) == []


def test_without_a_terminal_progress_is_plain_and_rare() -> None:
    stream = io.StringIO()
    with View(stream) as view:
        for _ in range(50):
            view.step("building", 0.5)
        view.step("building more")
        view.phase("mnist/1", "Running", "attempt 1")
        view.step("building")
    lines = stream.getvalue().splitlines()
    assert [line.strip() for line in (lines[0], lines[2])] == ["building", "building"]
    assert lines[1].endswith("s] mnist/1  Running  attempt 1")
    assert len(lines) == 3


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_there_is_a_bar_that_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    with View(stream) as view:
        view.step("building")
        view.step("building on", 0.5)
        view.say("done")
        view.step("again")
    assert "building" in stream.getvalue()
    assert "done\n" in stream.getvalue()


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "runs" / "mnist" / "1")
    folder.logs.mkdir(parents=True)
    submit = {
        "phases": [["Preparing", 1.0], ["Queued", 2.0]],
        "owner": process_identity.identity(),
        "created": 1.0,
    }
    atomic_json.write(str(folder.submit), submit)
    return folder


def state(run: RunFolder, number: int, outcome: str | None, *phases: str) -> None:
    run.attempt(number).mkdir(parents=True, exist_ok=True)
    value = {
        "phases": [[name, 1.0] for name in phases],
        "outcome": outcome,
        "owner": process_identity.identity(),
    }
    atomic_json.write(str(run.attempt_state(number)), value)


def test_phases_and_output_of_every_attempt_are_told_once(
    run: RunFolder, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    stream = io.StringIO()
    follower = Follower(run, View(stream), "worker-0", phases=1)
    assert not follower.poll()
    (run.logs / "worker-0.log").write_bytes(b"one\n\xff")
    state(run, 0, None, "Starting", "Running")
    assert not follower.poll()
    (run.attempt_logs(1)).mkdir()
    (run.attempt_logs(1) / "worker-0.log").write_bytes(b"two\n")
    state(run, 0, "Failed", "Starting", "Running", "Finalizing")
    state(run, 1, None, "Starting")
    follower.poll()
    atomic_json.write(str(run.end), {"state": "Completed", "time": 9.0})
    assert follower.poll()
    follower.close()
    assert capsysbinary.readouterr().out == b"one\n\xfftwo\n"
    told = [line.split("]", 1)[1].split(maxsplit=1)[1] for line in stream.getvalue().splitlines()]
    assert told == ["Queued", "Starting", "Running", "Starting  attempt 1"]


def endless(_: LogReader) -> bytes:
    return b"x"


def test_output_without_end_lets_a_poll_end(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    monkeypatch.setattr(LogReader, "read", endless)
    follower = Follower(run, View(io.StringIO()), "worker-0", phases=2)
    assert not follower.poll()
    assert len(capsysbinary.readouterr().out) < 100


def test_output_of_a_log_that_was_replaced_is_shown_from_its_start(
    run: RunFolder, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    state(run, 0, None, "Starting", "Running")
    follower = Follower(run, View(io.StringIO()), "worker-0", phases=2)
    (run.logs / "worker-0.log").write_bytes(b"a long first ")
    follower.poll()
    (run.logs / "new").write_bytes(b"50%")
    (run.logs / "new").rename(run.logs / "worker-0.log")
    follower.poll()
    follower.poll()
    follower.close()
    assert capsysbinary.readouterr().out == b"a long first 50%"


def test_waiting_tells_of_every_end_but_not_of_deleted_runs(run: RunFolder) -> None:
    ended: list[str] = []
    gone = RunFolder(run.root.parent / "2")
    atomic_json.write(str(run.end), {"state": "Completed", "time": 9.0})
    stream = io.StringIO()
    wait([run, gone], View(stream), lambda: None, lambda run: ended.append(run.id))
    assert ended == ["mnist/1"]
    assert "mnist/2" in stream.getvalue()
    with pytest.raises(NotFoundError):
        read_run(gone)


def test_a_run_whose_owner_is_gone_is_over(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("launcher.follow.LIVENESS_EVERY_S", 0.05)
    submit = atomic_json.read(str(run.submit)) or {}
    atomic_json.write(str(run.submit), {**submit, "owner": {**submit["owner"], "started": 1}})
    causes: list[str] = []
    wait(
        [run],
        View(io.StringIO()),
        lambda: None,
        lambda run: causes.append(run.cause.kind if run.cause else ""),
    )
    assert causes == ["supervisor_lost"]


def interrupt() -> Callable[[], None]:
    """Return a `show` that sends SIGINT to this process when it is first called."""
    left = [signal.SIGINT]

    def show() -> None:
        while left:
            signal.raise_signal(left.pop())

    return show


class Impatient(io.StringIO):
    """Sends a second SIGINT as soon as it is told what that does."""

    def write(self, text: str) -> int:
        if "again within" in text:
            signal.raise_signal(signal.SIGINT)
        return super().write(text)


def test_one_interrupt_stops_and_two_cancel(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr("launcher.follow.SECOND_INTERRUPT_S", 0.3)
    with pytest.raises(StopSignal):
        wait([run], View(io.StringIO()), interrupt(), lambda _: None)
    assert not run.cancel.exists()
    monkeypatch.setattr("launcher.follow.SECOND_INTERRUPT_S", 30)
    show = interrupt()

    def end_when_asked() -> None:
        show()
        if run.cancel.exists():
            atomic_json.write(str(run.end), {"state": "Canceled", "time": 9.0})

    states: list[str] = []
    wait([run], View(Impatient()), end_when_asked, lambda run: states.append(run.state))
    assert states == ["Canceled"]
    assert signal.getsignal(signal.SIGINT) is before


def test_finalizing_is_shown_after_the_last_lines(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    monkeypatch.setattr("launcher.follow._BLOCKS_A_POLL", 1)
    stream = io.StringIO()
    follower = Follower(run, View(stream), "worker-0", phases=2)
    state(run, 0, "Completed", "Starting", "Running", "Finalizing")
    (run.logs / "worker-0.log").write_bytes(b"x" * (1 << 20) + b"the end\n")  # two blocks
    follower.poll()
    assert not capsysbinary.readouterr().out.endswith(b"the end\n")
    assert "Finalizing" not in stream.getvalue()
    follower.poll()
    follower.poll()
    assert capsysbinary.readouterr().out.endswith(b"the end\n")
    assert "Finalizing" in stream.getvalue()
    follower.close()
