from __future__ import annotations

import pytest

from launcher.config.command_line import CommandLine, parse
from launcher.errors import ConfigError

LINES = {
    "nodes=2 a=1": CommandLine(overrides=("nodes=2", "a=1")),
    "-m a=1,2": CommandLine(overrides=("a=1,2",), multirun=True),
    "a=1,2 --multirun": CommandLine(overrides=("a=1,2",), multirun=True),
    "hydra.mode=MULTIRUN": CommandLine(overrides=("hydra.mode=MULTIRUN",), multirun=True),
    "--config-dir x a=1": CommandLine(overrides=("a=1",), conf="x"),
    "-cd=x --config-name=y.yaml": CommandLine(conf="x", primary="y"),
    "--cfg job a=1 --resolve": CommandLine(overrides=("a=1",), hydra=("--cfg", "job", "--resolve")),
    "-sc query=bash": CommandLine(overrides=("query=bash",), hydra=("-sc",)),
    "--help": CommandLine(hydra=("--help",)),
    "--version": CommandLine(version=True),
    "--run a=1": CommandLine(overrides=("a=1",)),
}


@pytest.mark.parametrize("line", LINES)
def test_words_are_sorted(line: str) -> None:
    assert parse(line.split()) == LINES[line]


@pytest.mark.parametrize(
    ("word", "foreign"),
    [
        ("hydra/sweeper=optuna", True),
        ("hydra/launcher=joblib", True),
        ("hydra/sweeper=launcher", False),
        ("hydra.job.name=x", False),
    ],
)
def test_other_peoples_plugins_are_seen(word: str, foreign: bool) -> None:
    assert parse([word]).plugins is foreign


def test_all_wrong_flags_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as raised:
        parse(["--mulitrun", "--zzz", "--nodes=2", "--cpus-per-process", "--cfg"])
    assert [str(problem) for problem in raised.value.problems] == [
        "--mulitrun: this flag is unknown. Did you mean --multirun?",
        "--zzz: this flag is unknown. An argument of the script is args.zzz=…",
        "--nodes=2: this flag is unknown. Write nodes=2",
        "--cpus-per-process: this flag is unknown. Write cpus_per_process=…",
        "--cfg: a value must follow",
    ]
