import json
from pathlib import Path

import pytest

from launcher import cli
from launcher.commands import COMMANDS
from launcher.errors import ConfigError
from launcher.paths import RunFolder, StoreFolder
from launcher.store import records
from launcher.store.sweeps import NewMember, create_sweep


@pytest.fixture
def sweep(failed: RunFolder, store: StoreFolder) -> str:
    line = {"overrides": ["nodes=1,2"], "conf": None, "primary": "config"}
    member = NewMember(failed, ("nodes=2",), failed.config.read_text(), "abc123")
    create_sweep(store.sweep("5eed"), [member], line, None)
    return "5eed"


def test_a_store_without_sweeps_says_what_comes_next(
    store: StoreFolder, capfd: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["sweeps", "list"]) == 0
    assert f"No sweeps in {store.root} yet" in capfd.readouterr().out
    assert cli.main(["sweeps", "list", "--json"]) == 0
    assert json.loads(capfd.readouterr().out) == []


def test_lists_are_short_unless_they_shall_not_be(sweep: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["sweeps", "list", "-n", "1"]) == 0
    told = capfd.readouterr().out
    assert sweep in told
    assert "1 Failed" in told
    assert "The newest 1;" in told
    assert cli.main(["sweeps", "list", "--all"]) == 0
    assert "The newest" not in capfd.readouterr().out


def test_a_sweep_is_shown_with_its_causes(sweep: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["sweeps", "show", sweep]) == 0
    told = capfd.readouterr().out
    for part in ("overrides  nodes=1,2", "0  mnist/1  Failed  10.0 s", "worker-1 on node1 exited with 7"):
        assert part in told
    assert cli.main(["sweeps", "show", sweep, "--json"]) == 0
    [member] = json.loads(capfd.readouterr().out)["members"]
    assert (member["index"], member["run"], member["state"]) == (0, "mnist/1", "Failed")


def test_a_sweepers_sweep_cannot_be_composed_again(sweep: str, store: StoreFolder) -> None:
    path = store.sweep(sweep).record
    records.write(path, {**(records.read(path) or {}), "line": None})
    with pytest.raises(ConfigError, match="a sweeper chose its members"):
        cli.main(["sweeps", "resume", sweep, "nodes=1"])


@pytest.mark.parametrize("words", [["show", "latest", "more"], ["list", "-m"], ["wait"]])
def test_words_that_mean_nothing_are_refused(
    words: list[str], store: StoreFolder, capfd: pytest.CaptureFixture[str]
) -> None:
    assert not store.root.exists()
    with pytest.raises(SystemExit) as error:
        cli.main(["sweeps", *words])
    assert error.value.code == 2
    assert "usage: launcher sweeps" in capfd.readouterr().err


def test_every_verb_has_help(capfd: pytest.CaptureFixture[str]) -> None:
    for verb, row in COMMANDS["sweeps"].verbs.items():
        with pytest.raises(SystemExit):
            cli.main(["sweeps", verb, "--help"])
        assert row.help in " ".join(capfd.readouterr().out.split())


def test_members_that_are_not_there_are_told(sweep: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"members of sweep 5eed: 0$"):
        cli.main(["sweeps", "cancel", sweep, "1", "--store", str(tmp_path / "store")])
