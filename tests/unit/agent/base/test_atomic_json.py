"""Records are whole, exclusive where they must be, and know their owner."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.agent.base import atomic_json, process_identity


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = str(tmp_path / "a.json")
    value = {"name": os.fsdecode(b"\xff"), "deep": [1, None, {"ä": 0.5}]}
    atomic_json.write(path, {"old": 1})
    atomic_json.write(path, value)
    assert atomic_json.read(path) == value
    assert os.listdir(tmp_path) == ["a.json"]


@given(st.dictionaries(st.text(), st.text()))
def test_any_text_survives(value: dict[str, str]) -> None:
    text = atomic_json.encode(value)
    assert text.isascii()
    assert json.loads(text) == value


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff", b'"x"'])
def test_what_is_no_record_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    assert atomic_json.read(str(tmp_path / "a")) is None
    assert atomic_json.read(str(tmp_path / "none")) is None


def test_of_many_that_create_one_wins(tmp_path: Path) -> None:
    path, won = str(tmp_path / "end.json"), list[int]()
    barrier = threading.Barrier(8)

    def create(number: int) -> None:
        barrier.wait()
        if atomic_json.create(path, {"by": number}):
            won.append(number)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert atomic_json.read(path) == {"by": won[0]}
    assert os.listdir(tmp_path) == ["end.json"]


def test_a_retried_link_whose_answer_was_lost_is_recognised(tmp_path: Path) -> None:
    path = str(tmp_path / "end.json")
    assert atomic_json.create(path, {"a": 1})
    assert atomic_json.create(path, {"a": 1})
    assert not atomic_json.create(path, {"a": 2})


def test_nothing_is_left_of_a_write_that_failed(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "full").touch()
    with pytest.raises(OSError, match="folder"):
        atomic_json.write(str(tmp_path / "folder"), {})
    with pytest.raises(TypeError):
        atomic_json.write(str(tmp_path / "x"), {1: object()})
    with pytest.raises(FileNotFoundError):
        atomic_json.write(str(tmp_path / "no" / "x"), {})
    assert os.listdir(tmp_path) == ["folder"]


def test_a_draft_that_cannot_be_written_is_removed(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        atomic_json._draft(str(tmp_path / "x"), "text")  # pyright: ignore[reportPrivateUsage, reportArgumentType]
    assert os.listdir(tmp_path) == []


def test_an_owner_lives_as_long_as_its_process() -> None:
    process = subprocess.Popen(["sleep", "300"])
    who = process_identity.identity(process.pid)
    assert process_identity.is_alive(who) is True
    assert process_identity.is_alive(process_identity.identity()) is True
    process.kill()
    Path(f"/proc/{process.pid}/stat")
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert process_identity.is_alive(who) is False  # a zombie is over
    assert (
        process_identity.is_alive(process_identity.identity(process.pid)) is False
    )  # also when it was one from the start
    process.wait()
    assert process_identity.is_alive(who) is False


def test_a_pid_that_was_used_again_is_another_process() -> None:
    who = process_identity.identity()
    assert process_identity.is_alive({**who, "started": (who["started"] or 0) - 1}) is False


def test_other_machines_boots_and_namespaces() -> None:
    who = process_identity.identity()
    assert process_identity.is_alive({**who, "boot": "other"}) is False
    assert process_identity.is_alive({**who, "boot": "other", "host": "elsewhere"}) is None
    assert process_identity.is_alive({**who, "pid_namespace": "pid:[1]"}) is None


def test_without_proc_nobody_is_the_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    def no(*_: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(os, "readlink", no)
    assert process_identity.identity()["boot"] == ""


def test_a_process_that_has_no_descriptor_left_takes_nobody_for_dead() -> None:
    code = """
import os, resource
from launcher.agent.base import process_identity
mine = process_identity.identity()
resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))
taken = []
try:
    while True:
        taken.append(os.open("/dev/null", os.O_RDONLY))
except OSError:
    answer = process_identity.is_alive(mine)
for fd in taken:
    os.close(fd)
print(answer, process_identity.is_alive(mine))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["None", "True"]


def test_a_change_of_any_bit_of_a_sealed_record_changes_no_answer() -> None:
    """Only the name of the checksum itself may change: the record then counts as one that a person wrote."""
    value = {"schema": 1, "b": ["x", None]}
    data = atomic_json.seal(value)
    believed: set[int] = set()
    for at in range(len(data)):
        for bit in range(8):
            changed = data[:at] + bytes([data[at] ^ (1 << bit)]) + data[at + 1 :]
            try:
                found = atomic_json.parse(changed)
            except ValueError:
                continue
            assert {key: found[key] for key in value} == value
            believed.add(at - len(data))
    assert believed <= set(range(-18, -13))
