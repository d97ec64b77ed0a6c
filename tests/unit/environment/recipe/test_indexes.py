"""pip's configuration as uv takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from launcher.environment.recipe import indexes
from launcher.environment.recipe.indexes import builder_variables, constraint_files

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Surroundings of a user who configured nothing."""
    monkeypatch.setattr(indexes, "SYSTEM", tmp_path / "system.conf")
    return {
        "HOME": str(tmp_path),
        "XDG_CONFIG_DIRS": str(tmp_path / "xdg"),
        "PIP_CONFIG_FILE": str(tmp_path / "none.conf"),
    }


def test_variables_of_pip_become_those_of_uv(home: dict[str, str], tmp_path: Path) -> None:
    home |= {
        "PIP_INDEX_URL": "https://mirror.example/simple",
        "PIP_EXTRA_INDEX_URL": "https://a.example/simple https://b.example/simple",
        "PIP_FIND_LINKS": str(tmp_path),
    }
    made = builder_variables(home)
    assert made["UV_DEFAULT_INDEX"] == "https://mirror.example/simple"
    assert made["UV_INDEX"] == "https://a.example/simple https://b.example/simple"
    assert made["UV_INDEX_STRATEGY"] == "unsafe-best-match"
    assert made["UV_FIND_LINKS"] == str(tmp_path)


def test_the_section_install_wins_over_global_and_variables_over_both(
    home: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "none.conf").write_text(
        "[global]\nindex-url = https://one.example/\nextra_index_url =\n  https://x.example/\n  https://y.example/\n"
        "[install]\nindex-url = https://two.example/\n"
    )
    made = builder_variables(home)
    assert made["UV_DEFAULT_INDEX"] == "https://two.example/"
    assert made["UV_INDEX"] == "https://x.example/ https://y.example/"
    assert builder_variables({**home, "PIP_INDEX_URL": "https://three.example/"})["UV_DEFAULT_INDEX"] == (
        "https://three.example/"
    )


def test_what_is_set_for_uv_stays(home: dict[str, str]) -> None:
    home |= {"PIP_INDEX_URL": "https://one.example/", "UV_INDEX_URL": "https://mine.example/"}
    assert "UV_DEFAULT_INDEX" not in builder_variables(home)


def test_folders_that_do_not_exist_are_passed_over(home: dict[str, str], tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    home |= {
        "PIP_EXTRA_INDEX_URL": f"file:///nonesuch/simple {there.as_uri()}",
        "PIP_FIND_LINKS": "/nonesuch",
    }
    made = builder_variables(home)
    assert made["UV_INDEX"] == there.as_uri()
    assert "UV_FIND_LINKS" not in made


def test_a_broken_file_is_passed_over(home: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "none.conf").write_text("index-url = no section\n")
    assert "UV_DEFAULT_INDEX" not in builder_variables(home)


def test_constraints_are_files(home: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "constraints.txt"
    path.write_text("six<2\n")
    assert constraint_files({**home, "PIP_CONSTRAINT": str(path)}) == (path,)
    assert constraint_files(home) == ()
