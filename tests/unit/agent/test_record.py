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

from launcher.agent import record


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = str(tmp_path / "a.json")
    value = {"name": os.fsdecode(b"\xff"), "deep": [1, None, {"ä": 0.5}]}
    record.write(path, {"old": 1})
    record.write(path, value)
    assert record.read(path) == value
    assert os.listdir(tmp_path) == ["a.json"]


@given(st.dictionaries(st.text(), st.text()))
def test_any_text_survives(value: dict[str, str]) -> None:
    text = record.encode(value)
    assert text.isascii()
    assert json.loads(text) == value


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff", b'"x"'])
def test_what_is_no_record_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    assert record.read(str(tmp_path / "a")) is None
    assert record.read(str(tmp_path / "none")) is None


def test_of_many_that_create_one_wins(tmp_path: Path) -> None:
    path, won = str(tmp_path / "end.json"), list[int]()
    barrier = threading.Barrier(8)

    def create(number: int) -> None:
        barrier.wait()
        if record.create(path, {"by": number}):
            won.append(number)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert record.read(path) == {"by": won[0]}
    assert os.listdir(tmp_path) == ["end.json"]


def test_a_retried_link_whose_answer_was_lost_is_recognised(tmp_path: Path) -> None:
    path = str(tmp_path / "end.json")
    assert record.create(path, {"a": 1})
    assert record.create(path, {"a": 1})
    assert not record.create(path, {"a": 2})


def test_nothing_is_left_of_a_write_that_failed(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "full").touch()
    with pytest.raises(OSError, match="folder"):
        record.write(str(tmp_path / "folder"), {})
    with pytest.raises(TypeError):
        record.write(str(tmp_path / "x"), {1: object()})
    with pytest.raises(FileNotFoundError):
        record.write(str(tmp_path / "no" / "x"), {})
    assert os.listdir(tmp_path) == ["folder"]


def test_a_draft_that_cannot_be_written_is_removed(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        record._draft(str(tmp_path / "x"), "text")  # pyright: ignore[reportPrivateUsage, reportArgumentType]
    assert os.listdir(tmp_path) == []


def test_an_owner_lives_as_long_as_its_process() -> None:
    process = subprocess.Popen(["sleep", "300"])
    who = record.owner(process.pid)
    assert record.alive(who) is True
    assert record.alive(record.owner()) is True
    process.kill()
    Path(f"/proc/{process.pid}/stat")
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert record.alive(who) is False  # a zombie is over
    assert record.alive(record.owner(process.pid)) is False  # also when it was one from the start
    process.wait()
    assert record.alive(who) is False


def test_a_pid_that_was_used_again_is_another_process() -> None:
    who = record.owner()
    assert record.alive({**who, "started": who["started"] - 1}) is False


def test_other_machines_boots_and_namespaces() -> None:
    who = record.owner()
    assert record.alive({**who, "boot": "other"}) is False
    assert record.alive({**who, "boot": "other", "host": "elsewhere"}) is None
    assert record.alive({**who, "pid_namespace": "pid:[1]"}) is None


def test_without_proc_nobody_is_the_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    def no(*_: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(os, "readlink", no)
    assert record.owner()["boot"] == ""


def test_a_process_that_has_no_descriptor_left_takes_nobody_for_dead() -> None:
    code = """
import os, resource
from launcher.agent import record
mine = record.owner()
resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))
taken = []
try:
    while True:
        taken.append(os.open("/dev/null", os.O_RDONLY))
except OSError:
    answer = record.alive(mine)
for fd in taken:
    os.close(fd)
print(answer, record.alive(mine))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["None", "True"]
