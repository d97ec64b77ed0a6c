"""Data in the cache: made once, and made again if it is damaged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from launcher.agent.base import integrity
from launcher.data.fetch import damage_of, once

if TYPE_CHECKING:
    from pathlib import Path


class Lines:
    """Progress that keeps its lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def step(self, text: str, done: float | None = None) -> None:
        del done
        self.lines.append(text)


def fill(draft: Path) -> None:
    (draft / "part").mkdir(parents=True)
    (draft / "part" / "images").write_bytes(b"x" * 1000)
    (draft / "labels").symlink_to("part/images")


def refuse(draft: Path) -> None:
    raise AssertionError(draft)


@pytest.mark.parametrize("how", ["cut", "altered", "gone", "link"])
def test_damaged_data_is_made_again_with_one_line(tmp_path: Path, how: str) -> None:
    target, lines = tmp_path / "data" / "digits", Lines()
    once(target, fill, lines)
    images = target / "part" / "images"
    if how == "cut":
        images.write_bytes(b"x" * 10)
    elif how == "altered":
        images.write_bytes(b"x" * 999 + b"y")
    elif how == "gone":
        images.unlink()
    else:
        (target / "labels").unlink()
        (target / "labels").symlink_to("elsewhere")
    name = "labels" if how == "link" else "part/images"
    assert damage_of(target).startswith(f"{name} (")
    once(target, fill, lines)
    [line] = lines.lines
    assert line.startswith(f"fetching digits again: the cache has lost {name} (")
    assert images.read_bytes() == b"x" * 1000
    assert damage_of(target) == ""
    assert sorted(path.name for path in target.parent.iterdir()) == ["digits", "digits.json"]


def test_whole_data_is_not_made_again(tmp_path: Path) -> None:
    target, lines = tmp_path / "data" / "digits", Lines()
    once(target, fill, lines)
    (target / "made-by-a-library").write_text("x")
    once(target, refuse, lines)
    assert lines.lines == []


def test_data_of_an_older_cache_is_used_as_it_is(tmp_path: Path) -> None:
    target, lines = tmp_path / "data" / "digits", Lines()
    once(target, fill, lines)
    (tmp_path / "data" / "digits.json").unlink()
    (target / "part" / "images").write_bytes(b"")
    assert damage_of(target) == ""
    assert integrity.find_changes(str(target)) == []
