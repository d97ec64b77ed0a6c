import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.paths import RunFolder
from launcher.store.metrics import Point, last_values, series


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


def log(folder: RunFolder, process: str, *lines: object) -> None:
    folder.metrics.mkdir(exist_ok=True)
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    (folder.metrics / f"{process}.jsonl").write_text("\n".join(texts) + "\n")


def value(name: str, number: Any, step: int | None = None) -> dict[str, Any]:
    return {"name": name, "value": number, "time": 1.5} | ({} if step is None else {"step": step})


def test_the_last_value_of_the_process_that_counts(folder: RunFolder) -> None:
    log(folder, "worker-10", value("loss", 10), value("only-ten", 1))
    log(folder, "worker-2", value("loss", 3), value("loss", 2))
    log(folder, "evaluator-0", value("loss", 0), value("accuracy", 0.9))
    assert last_values(folder) == {"loss": 2.0, "only-ten": 1.0, "accuracy": 0.9}
    log(folder, "chief-0", value("loss", 7))
    assert last_values(folder)["loss"] == 7.0


def test_series_keep_order_step_and_process(folder: RunFolder) -> None:
    log(folder, "worker-0", value("loss", 2, 1), value("loss", 1, 2))
    points = [
        Point(name="loss", value=2.0, step=1.0, time=1.5, process="worker-0"),
        Point(name="loss", value=1.0, step=2.0, time=1.5, process="worker-0"),
    ]
    assert series(folder) == {"loss": points}


def test_no_metrics_are_none(folder: RunFolder) -> None:
    assert last_values(folder) == {}


def test_lines_that_are_torn_or_something_else_are_passed_over(folder: RunFolder) -> None:
    torn = json.dumps(value("loss", 5))[:-4]
    huge = '{"name": "big", "value": 1' + "0" * 400 + "}"
    others = [
        "",
        "[1]",
        "3",
        '{"name": 1, "value": 1}',
        '{"name": "a", "value": "x"}',
        '{"value": 1}',
        huge,
        "[" * 9999,
    ]
    log(folder, "worker-0", value("loss", 1), *others, torn)
    (folder.metrics / "worker-1.jsonl").write_bytes(b"\xff\xfe\n\0\0\0")
    assert last_values(folder) == {"loss": 1.0}


def test_values_that_are_no_finite_numbers_are_kept(folder: RunFolder) -> None:
    log(folder, "worker-0", value("a", math.nan), value("b", -math.inf))
    found = last_values(folder)
    assert math.isnan(found["a"])
    assert found["b"] == -math.inf


@given(st.binary(max_size=200))
def test_any_bytes_are_read_without_an_error(data: bytes) -> None:
    from tempfile import TemporaryDirectory  # noqa: PLC0415  # one a case, tmp_path is one a test

    with TemporaryDirectory() as place:
        folder = RunFolder(Path(place))
        folder.metrics.mkdir()
        (folder.metrics / "worker-0.jsonl").write_bytes(json.dumps(value("x", 1)).encode() + b"\n" + data)
        assert "x" in last_values(folder)
