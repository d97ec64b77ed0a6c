"""What a training script may import."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

import launcher

if TYPE_CHECKING:
    from pathlib import Path


def test_a_metric_is_a_line_in_the_runs_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "worker-0.jsonl"
    monkeypatch.setenv("LAUNCHER_METRICS", str(file))
    launcher.log_metric("loss", 0.5, step=1)
    launcher.log_metric("loss", 1, step=2)
    launcher.log_metric("test_accuracy", 0.97)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(line["name"], line["value"], line.get("step")) for line in lines] == [
        ("loss", 0.5, 1),
        ("loss", 1.0, 2),
        ("test_accuracy", 0.97, None),
    ]
    assert all(isinstance(line["time"], float) for line in lines)


def test_outside_a_run_that_is_said_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("LAUNCHER_METRICS", raising=False)
    monkeypatch.setattr(launcher, "_told", False)
    launcher.log_metric("loss", 0.5)
    launcher.log_metric("loss", 0.4)
    assert capsys.readouterr().err == "launcher: not in a run, metrics are not recorded\n"


@pytest.mark.parametrize("value", ["much", None, [1.0]])
def test_a_metric_is_a_number(value: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        launcher.log_metric("loss", value)  # pyright: ignore[reportArgumentType]  # what scripts may do
