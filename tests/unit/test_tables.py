import pytest

from launcher.tables import Columns, display_width, fit

HEADER = ("RUN", "STATE", "TAGS", "OVERRIDES")
ROWS = [
    ("a-long-experiment/1234", "Completed", "", "args.learning-rate=0.001 args.batch-size=100 nodes=2"),
    ("mnist/1", "Failed", "", "a=1"),
]


def shown(width: int, kinds: Columns) -> list[str]:
    layout = fit(HEADER, ROWS, width, kinds)
    lines = ["  ".join(name.ljust(size) for name, size in zip(layout.header, layout.widths, strict=True))]
    for row in layout.rows:
        for at in range(max(map(len, row))):
            cells = [cell[at] if at < len(cell) else "" for cell in row]
            lines.append("  ".join(c.ljust(s) for c, s in zip(cells, layout.widths, strict=True)))
    return [line.rstrip() for line in lines]


def test_what_fits_is_left_as_it_is() -> None:
    layout = fit(HEADER, ROWS, 93, Columns())
    assert layout.header == list(HEADER)
    assert layout.left_out == []
    assert layout.rows == [[[cell] for cell in row] for row in ROWS]


def test_texts_are_cut_after_a_word_and_empty_columns_go_first() -> None:
    assert shown(64, Columns(texts=2)) == [
        "RUN                     STATE      OVERRIDES",
        "a-long-experiment/1234  Completed  args.learning-rate=0.001 …",
        "mnist/1                 Failed     a=1",
    ]
    assert shown(50, Columns(texts=2))[1].endswith("args.learning-…")


def test_texts_are_wrapped_between_words_and_long_words_where_they_must() -> None:
    assert shown(62, Columns(wrap=True))[1:4] == [
        "a-long-experiment/1234  Completed  args.learning-rate=0.001",
        "                                   args.batch-size=100 nodes=2",
        "mnist/1                 Failed     a=1",
    ]
    assert [line[35:] for line in shown(50, Columns(wrap=True))[1:6]] == [
        "args.learning-r", "ate=0.001", "args.batch-size", "=100 nodes=2", "a=1",
    ]  # fmt: skip


@pytest.mark.parametrize("width", [1, 20, 22, 33, 34, 46, 47, 60])
def test_ids_are_whole_at_every_width(width: int) -> None:
    layout = fit(HEADER, ROWS, width, Columns(texts=2))
    assert [row[0] for row in layout.rows] == [[row[0]] for row in ROWS]
    assert all(cell[0] in {*ROWS[0], *ROWS[1]} for row in layout.rows for cell in row[:2])
    assert sum(layout.widths) + 2 * (len(layout.widths) - 1) <= max(width, 22)
    assert {*layout.header, *layout.left_out} == {"RUN", "STATE", "OVERRIDES"}


def test_the_id_may_be_another_column() -> None:
    layout = fit(("SIZE", "NAME"), [("1.0 KiB", "outputs/model.txt")], 20, Columns(key=1))
    assert (layout.header, layout.rows) == (["NAME"], [[["outputs/model.txt"]]])
    assert layout.left_out == ["SIZE"]


def test_wide_characters_take_two_columns() -> None:
    assert (display_width("naïve"), display_width("日本"), display_width("e\u0301")) == (5, 4, 1)
    layout = fit(("RUN", "TEXT"), [("a/1", "日本 " * 9)], 20, Columns())
    assert display_width(layout.rows[0][1][0]) <= 15
