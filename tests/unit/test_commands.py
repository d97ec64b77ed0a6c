"""Nouns and verbs that do not exist point to those that do."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from launcher import cli
from launcher.cli.completion import COMPLETIONS
from launcher.commands import COMMANDS, OPERANDS
from launcher.errors import ConfigError

POINTERS = {
    "rnus list": "Did you mean `launcher runs list`?",
    "list": "Did you mean `launcher runs list` or `launcher sweeps list` or `launcher env list`?",
    "logs latest -f": "Did you mean `launcher runs logs latest -f`?",
    "lgos latest": "Did you mean `launcher runs logs latest`?",
    "rm mnist/1": "Did you mean `launcher runs delete mnist/1`?",
    "kill mnist/1": "Did you mean `launcher runs cancel mnist/1` or `launcher sweeps cancel mnist/1`?",
    "run show mnist/1": "Did you mean `launcher runs show mnist/1`?",
    "environments list": "Did you mean `launcher env list`?",
    "version": "Did you mean `launcher --version`?",
    "python x.py": "A script is started by launcher script=FILE",
    "train": "An override has a '=', as in nodes=2",
    "runs shw 3": "Did you mean `launcher runs show 3`?",
    "runs ls": "Did you mean `launcher runs list`?",
    "runs latest": "Did you mean `launcher runs show latest`?",
    "runs mnist/3": "Did you mean `launcher runs show mnist/3`?",
    "runs prune": "Did you mean `launcher env prune`?",
    "runs resume 5eed": "Did you mean `launcher sweeps resume 5eed`?",
    "sweeps rerun mnist/1": "Did you mean `launcher runs rerun mnist/1`?",
    "env rm": "Did you mean `launcher env prune`?",
    "compute chek": "Did you mean `launcher compute check`?",
    "compute doctor": "Did you mean `launcher compute check`?",
    "runs": "as in launcher runs list",
}


@pytest.mark.parametrize("line", POINTERS)
def test_a_wrong_command_points_to_the_right_one(line: str) -> None:
    with pytest.raises(ConfigError) as raised:
        cli.main(line.split())
    [problem] = raised.value.problems
    assert str(problem).endswith(POINTERS[line])
    assert "\n" not in str(problem)


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("runs list --limt 3", "--limit"),
        ("runs logs latest --rnk=1", "--rank"),
        ("sweeps wait latest --timout 3", "--timeout"),
        ("env prune --unused 3d", "--unused-for"),
        ("compute clean --dry", "--dry-run"),
        ("init --jsno x", "--json"),
    ],
)
def test_a_wrong_flag_points_to_the_right_one(
    line: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as raised:
        cli.main(line.split())
    assert raised.value.code == 2
    assert f"Did you mean {hint}?" in capsys.readouterr().err


def test_every_row_of_the_table_has_a_file_and_every_file_with_a_command_a_row() -> None:
    rows = {f"{noun}_{verb}".rstrip("_") for noun, row in COMMANDS.items() for verb in row.verbs or [""]}
    for name in rows:
        assert callable(import_module(f"launcher.cli.{name}").run)
    files = {path.stem for path in Path(cli.__file__).parent.glob("*.py") if "\ndef run(" in path.read_text()}
    assert files == rows


def test_every_operand_of_the_table_can_be_completed() -> None:
    rows = [row for noun in COMMANDS.values() for row in (noun, *noun.verbs.values())]
    assert {row.operand for row in rows} == set(COMPLETIONS)
    assert set(OPERANDS) < set(COMPLETIONS)


def test_a_flag_of_another_verb_is_not_what_was_meant(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["runs", "list", "--force"])
    said = capsys.readouterr().err
    assert said.startswith("usage: launcher runs list [-h]")
    assert "launcher runs list: error: unrecognized arguments: --force." in said
    assert "mean --force" not in said


def test_help_names_every_command_and_verb(tmp_path: Path) -> None:
    for words in (["--help"], ["help"]):
        line = [sys.executable, "-m", "launcher", *words]
        told = subprocess.run(line, cwd=tmp_path, capture_output=True, check=True, text=True).stdout
        for command, row in COMMANDS.items():
            [found] = [each for each in told.splitlines() if each.startswith(f"  {command} ")]
            assert row.help in found
            assert all(verb in found for verb in row.verbs)
