from io import StringIO

import pytest

from launcher.store.fold import Cause
from launcher.sweep_view import Line, causes, cells, counted, labels, tell
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
    assert counted(["Failed", "Completed", "Completed"]) == "2 Completed, 1 Failed"
    assert counted([]) == ""


def test_the_table_has_causes_and_the_next_step() -> None:
    stream = StringIO()
    cause = Cause(message="worker exited with 1", last_lines=("a", "b", "c", "", "ValueError: bad"))
    lines = [
        Line(0, "mnist/1", "Completed", 61.0, 0.123456789, "x=1"),
        Line(3, "mnist/2", "Failed", None, None, "x=2", cause),
    ]
    tell(View(stream), "5eed", lines)
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
    tell(View(stream), "5eed", lines[:1])
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
