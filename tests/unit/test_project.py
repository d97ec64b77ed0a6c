from pathlib import Path

import pytest

from launcher.errors import ConfigError
from launcher.project import Project, find_project, find_store


def write(folder: Path, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pyproject.toml").write_text(text)


def test_the_nearest_table_wins_and_is_relative_to_its_file(tmp_path: Path) -> None:
    write(tmp_path, '[tool.launcher]\nstore = "../s"\nconf = "conf"\n')
    write(tmp_path / "a", '[project]\nname = "launcher-free"\n')
    deep = tmp_path / "a" / "b"
    deep.mkdir()
    assert find_project(deep) == Project(tmp_path, tmp_path.parent / "s", tmp_path / "conf")
    write(deep, "[tool]\nlauncher = {}\n")
    assert find_project(deep) == Project(deep, None, None)


def test_outside_any_project_there_is_none(tmp_path: Path) -> None:
    assert find_project(tmp_path) == Project()


def test_the_store_is_given_then_the_environments_then_the_projects_then_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LAUNCHER_STORE", raising=False)
    here = tmp_path / "here"
    here.mkdir()
    assert find_store(None, here) == here / "store"
    write(tmp_path, '[tool.launcher]\nstore = "runs"\n')
    assert find_store(None, here) == tmp_path / "runs"
    monkeypatch.setenv("LAUNCHER_STORE", "env")
    assert find_store(None, here) == here / "env"
    assert find_store("../given", here) == tmp_path / "given"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[tool.launcher]\nstor = "x"\n', ["tool.launcher.stor", "Did you mean store?"]),
        (
            "[tool.launcher]\nstore = 3\nconf = 4\n",
            ["tool.launcher.store: got 3", "tool.launcher.conf: got 4"],
        ),
        ("[tool.launcher\n", ["pyproject.toml", "not TOML"]),
        ("[tool]\nlauncher = 1\n", ["Write [tool.launcher]"]),
    ],
)
def test_every_mistake_is_named(tmp_path: Path, text: str, words: list[str]) -> None:
    write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        find_project(tmp_path)
    for word in words:
        assert word in str(caught.value)
