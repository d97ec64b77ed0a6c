from io import StringIO

from launcher.sweep_view import Line, counted, labels, tell
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
    lines = [
        Line(0, "mnist/1", "Completed", 61.0, 0.123456789, "x=1"),
        Line(3, "mnist/2", "Failed", None, None, "x=2", "worker exited with 1"),
    ]
    tell(View(stream), "5eed", lines)
    assert stream.getvalue().splitlines() == [
        "",
        "#  run      state      time        objective  overrides",
        "0  mnist/1  Completed  1 min 01 s  0.123457   x=1",
        "3  mnist/2  Failed     -           -          x=2",
        "mnist/2: worker exited with 1",
        "sweep 5eed",
        "  next     python -m launcher sweeps resume 5eed",
    ]
    stream = StringIO()
    tell(View(stream), "5eed", lines[:1])
    assert "resume" not in stream.getvalue()
