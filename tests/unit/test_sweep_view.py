from io import StringIO
from pathlib import Path

import pytest

from launcher.agent.base import atomic_json, process_identity
from launcher.paths import RunFolder
from launcher.store.run_state import Cause, Run, read_run
from launcher.sweep_view import (
    Line,
    Progress,
    causes,
    cells,
    count_states,
    labels,
    print_summary,
    summary_row,
)
from launcher.view import View


def test_labels_are_what_not_all_members_have() -> None:
    assert labels([("a=1", "x=1", "y=2"), ("a=1", "x=2", "y=2"), ("a=1", "x=2", "y=3")]) == [
        "x=1 y=2",
        "x=2 y=2",
        "x=2 y=3",
    ]
    assert labels([("a=1", "x=1")]) == ["a=1 x=1"]
    assert labels([]) == []


def test_states_are_counted_what_is_most_first() -> None:
    assert count_states(["Failed", "Completed", "Completed"]) == "2 Completed, 1 Failed"
    assert count_states([]) == ""


def test_the_table_has_causes_and_the_next_step() -> None:
    stream = StringIO()
    cause = Cause(message="worker exited with 1", last_lines=("a", "b", "c", "", "ValueError: bad"))
    lines = [
        Line(0, "mnist/1", "Completed", 61.0, 0.123456789, "x=1"),
        Line(3, "mnist/2", "Failed", None, None, "x=2", cause),
    ]
    print_summary(View(stream), "5eed", lines)
    assert stream.getvalue().splitlines() == [
        "",
        "#  run      state      time        objective  overrides",
        "0  mnist/1  Completed  1 min 01 s  0.123457   x=1",
        "3  mnist/2  Failed     -           -          x=2",
        "mnist/2: worker exited with 1",
        "  | b",
        "  | c",
        "  | ValueError: bad",
        "sweep 5eed",
        "  next     python -m launcher sweeps resume 5eed",
    ]
    stream = StringIO()
    print_summary(View(stream), "5eed", lines[:1])
    assert "resume" not in stream.getvalue()


def test_of_many_causes_the_first_are_shown() -> None:
    lines = [Line(n, f"t/{n}", "Failed", 1.0, None, "", Cause(message="lost")) for n in range(40)]
    texts = list(causes(lines))
    assert texts[0] == "t/0: lost"
    assert texts[-1] == "and 30 more; `python -m launcher runs show RUN` shows a run's cause"
    assert len(texts) == 11


@pytest.mark.parametrize(
    ("objective", "returned", "text"),
    [
        (0.5, [1], "0.5"),
        (None, [0.5, 2], "[0.5, 2]"),
        (None, "x" * 99, '"' + "x" * 38 + "…"),
        (None, None, "-"),
    ],
)
def test_a_returned_value_stands_where_there_is_no_objective(
    objective: float | None, returned: object, text: str
) -> None:
    line = Line(0, "t/1", "Completed", 1.0, objective, "", None, returned)
    assert cells(line)[4] == text


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def members(folder: Path, count: int) -> list[RunFolder]:
    runs = [RunFolder(folder / "t" / str(number)) for number in range(1, count + 1)]
    for run in runs:
        run.root.mkdir(parents=True)
        atomic_json.write(
            str(run.submit),
            {"phases": [["Queued", 1.0]], "owner": process_identity.identity(), "created": 1.0},
        )
    return runs


def start(run: RunFolder) -> None:
    run.attempt(0).mkdir(parents=True)
    atomic_json.write(str(run.attempt_state(0)), {"phases": [["Running", 2.0]], "outcome": None})


def end(run: RunFolder, state: str) -> Run:
    atomic_json.write(str(run.end), {"state": state, "time": 3.0})
    return read_run(run)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("launcher.sweep_view.LOOK_EVERY_S", 0.0)
    monkeypatch.setattr("launcher.sweep_view.PLAIN_EVERY_S", 0.0)


@pytest.mark.usefixtures("quick")
def test_a_small_sweep_has_a_line_for_every_end(tmp_path: Path) -> None:
    stream = StringIO()
    runs = members(tmp_path, 3)
    progress = Progress(View(stream), runs)
    start(runs[0])
    progress.show()
    progress.show()
    progress.end(end(runs[0], "Completed"), "x=1")
    progress.show()
    assert [line.split("]")[-1].strip() for line in stream.getvalue().splitlines()] == [
        "1 Running, 2 Queued",
        "t/1  Completed  (1 of 3) x=1",
        "2 Queued, 1 Completed",
    ]


@pytest.mark.usefixtures("quick")
def test_of_a_large_sweep_only_failures_have_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = StringIO()
    runs = members(tmp_path, 60)
    progress = Progress(View(stream), runs)
    monkeypatch.setattr("launcher.sweep_view.PLAIN_EVERY_S", 3600.0)
    for number, run in enumerate(runs):
        progress.end(end(run, "Failed" if number == 9 else "Completed"), "")
        progress.show()
    lines = [line.split("]")[-1].strip() for line in stream.getvalue().splitlines()]
    assert lines == ["59 Queued, 1 Completed", "t/10  Failed  (10 of 60)"]
    print_summary(View(stream), "5eed", [summary_row(n, read_run(run), "", 0) for n, run in enumerate(runs)])
    lines = stream.getvalue().splitlines()
    assert "and 10 more; `python -m launcher sweeps show 5eed` shows all" in lines
    assert len(lines) < 60


@pytest.mark.usefixtures("quick")
def test_a_terminal_shows_the_counts_before_the_first_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    runs = members(tmp_path, 30)
    with View(stream) as view:
        progress = Progress(view, runs)
        start(runs[3])
        progress.show()
    assert "1 Running, 29 Queued" in stream.getvalue()
