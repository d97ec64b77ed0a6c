"""Damaged records in every command: reported by file and field, with no harm to other runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from launcher import cli
from launcher.errors import DamageError
from launcher.store import records
from launcher.store.records import Damage, load
from launcher.store.runs import delete, read_run, update_submit
from tests.unit.cli.conftest import attempt, end, make, process

if TYPE_CHECKING:
    from pathlib import Path

    from launcher.paths import RunFolder, StoreFolder


@pytest.fixture
def two(store: StoreFolder) -> tuple[RunFolder, RunFolder]:
    """Two runs that completed; the tests damage the first."""
    found = make(store, 1), make(store, 2)
    for folder in found:
        attempt(folder, 0, [process(0, exit_code=0)], outcome="Completed")
        end(folder, "Completed")
    return found


def say(capfd: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    capfd.readouterr()
    code = cli.main(list(words))
    out, err = capfd.readouterr()
    return code, out, err


DAMAGES: dict[str, tuple[str, bytes, str]] = {
    "wrong types": ("submit.json", b'{"created": "x", "phases": 7}', "created: got 'x'; expected a number"),
    "empty": ("submit.json", b"", "it is empty"),
    "cut": ("submit.json", b'{"created": 1.0, "phas', "it is not JSON"),
    "binary": ("submit.json", bytes(range(256)), "it is not JSON"),
    "list": ("submit.json", b"[]", "it holds list instead of an object"),
    "unknown state": ("end.json", b'{"state": "Fnished", "time": 1}', "state: got 'Fnished'; expected one"),
    "text as cause": (
        "end.json", b'{"state": "Failed", "time": 1, "cause": "x"}', "cause: got 'x'; expected an object",
    ),
    "no spec": ("spec.json", b"{}", "it holds nothing"),
    "newer": ("end.json", b'{"schema": 99, "launcher": "2.0"}', "got 99; expected 1. launcher 2.0 wrote it"),
    "later": ("submit.json", b'{"schema": 99}', "a newer launcher wrote it: update launcher"),
    "checksum": ("end.json", b'{"state":"Failed","time":1,"crc32":"00000000"}', "its checksum differs"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_run_is_reported_by_every_command(
    two: tuple[RunFolder, RunFolder], name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    file, content, words = DAMAGES[name]
    before = json.loads(say(capfd, "runs", "list", "--json")[1])
    path = two[0].root / file
    path.write_bytes(content)
    code, out, err = say(capfd, "runs", "list", "--json")
    rows = {row["id"]: row for row in json.loads(out)}
    assert (code, rows["mnist/2"], rows["mnist/1"]["state"]) == (0, before[0], "Damaged")
    assert rows["mnist/1"]["damage"][0]["file"] == str(path)
    assert words in err
    for verb in ("list", "show mnist/1", "wait mnist/1", "files mnist/1", "logs mnist/1"):
        code, out, err = say(capfd, "runs", *verb.split())
        assert code == (verb != "list"), verb
        assert f"{path}: " in out + err, verb
        assert words in out + err, verb
    code, out, err = say(capfd, "runs", "wait", "mnist/1", "mnist/2")
    assert code == 1
    assert "mnist/2  Completed" in out
    code, out, err = say(capfd, "runs", "cancel", "mnist/1")
    assert (code, f"{path}: " in err) == (1, True)
    with pytest.raises(DamageError, match=r"delete it with --force") as error:
        delete(two[0])
    assert f"{path}: " in str(error.value)
    assert say(capfd, "runs", "delete", "--force", "mnist/1")[0] == 0
    assert [row["id"] for row in json.loads(say(capfd, "runs", "list", "--json")[1])] == ["mnist/2"]


def test_a_record_that_is_repaired_is_read_again(
    two: tuple[RunFolder, RunFolder], capfd: pytest.CaptureFixture[str]
) -> None:
    whole = two[0].end.read_bytes()
    two[0].end.write_bytes(b"x")
    assert json.loads(say(capfd, "runs", "list", "--json")[1])[1]["state"] == "Damaged"
    two[0].end.write_bytes(whole)
    assert json.loads(say(capfd, "runs", "list", "--json")[1])[1]["state"] == "Completed"


def test_a_run_whose_first_record_is_gone_is_damaged(
    two: tuple[RunFolder, RunFolder], capfd: pytest.CaptureFixture[str]
) -> None:
    two[0].submit.unlink()
    code, _, err = say(capfd, "runs", "show", "mnist/1")
    assert (code, f"{two[0].submit}: it is missing" in err) == (1, True)


@pytest.mark.parametrize("how", ["folder", "loop"])
def test_what_is_no_file_is_damage(two: tuple[RunFolder, RunFolder], how: str) -> None:
    two[0].end.unlink()
    if how == "folder":
        two[0].end.mkdir()
    else:
        two[0].end.symlink_to("end.json")
    assert [each.path for each in read_run(two[0]).damage] == [two[0].end]


def test_a_change_of_a_damaged_record_is_refused(two: tuple[RunFolder, RunFolder]) -> None:
    two[0].submit.write_bytes(b"")
    with pytest.raises(DamageError, match="it is empty"):
        update_submit(two[0], job=None)


def test_a_frozen_configuration_that_was_altered_is_damage(two: tuple[RunFolder, RunFolder]) -> None:
    update_submit(two[0], config="0" * 32)
    [damage] = read_run(two[0]).damage
    assert (damage.path, damage.reason) == (two[0].config, "it was altered after it was frozen")


def test_the_checksum_of_a_record_is_no_field(tmp_path: Path) -> None:
    path = tmp_path / "any.json"
    value: dict[str, Any] = {"a": 1, "b": [None, "c"]}
    records.write(path, value)
    assert load(path) == value
    data = path.read_bytes()
    for at in range(len(data)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        found = load(path)
        assert isinstance(found, Damage) or {"a": 1, "b": [None, "c"]}.items() <= (found or {}).items()


def test_a_damaged_sweep_is_listed_beside_the_others(
    store: StoreFolder, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = store.sweep("5eed")
    folder.root.mkdir(parents=True)
    folder.record.write_text('{"created": 1, "members": [{"run": "../../x"}]}')
    code, out, err = say(capfd, "sweeps", "list")
    assert (code, "Damaged" in out, f"{folder.record}: " in err) == (0, True, True)
    [row] = json.loads(say(capfd, "sweeps", "list", "--json")[1])
    assert (row["id"], str(folder.record) in row["damage"]) == ("5eed", True)
    with pytest.raises(DamageError, match=r"sweep\.json: "):
        cli.main(["sweeps", "show", "5eed"])
