import json
import threading
from pathlib import Path

from launcher.paths import RunFolder
from launcher.store.logs import LogReader, follow_lines, logs


def never() -> bool:
    return False


def test_what_is_there_is_read_to_the_end_also_without_a_newline(tmp_path: Path) -> None:
    file = tmp_path / "a.log"
    file.write_bytes(b"one\ntwo\nthr")
    assert list(follow_lines([file], never)) == [b"one\ntwo\n", b"thr"]


def test_a_file_that_never_comes_is_empty(tmp_path: Path) -> None:
    assert list(follow_lines([tmp_path / "none.log"], never)) == []


def test_lines_arrive_whole_while_the_file_grows(tmp_path: Path) -> None:
    file = tmp_path / "a.log"
    over, seen = threading.Event(), threading.Event()

    def write() -> None:
        with file.open("wb", buffering=0) as log:
            for number in range(30):
                line = b"line %d\n" % number
                log.write(line[:3])
                log.write(line[3:])
                assert seen.wait(60)  # the next comes when this one has been read
                seen.clear()
        over.set()

    writer = threading.Thread(target=write)
    writer.start()
    lines: list[bytes] = []
    for chunk in follow_lines([file], lambda: not over.is_set()):
        assert chunk.endswith(b"\n")
        lines += chunk.splitlines()
        seen.set()
    writer.join()
    assert lines == [b"line %d" % number for number in range(30)]


def test_nothing_written_before_the_end_is_missed(tmp_path: Path) -> None:
    file = tmp_path / "a.log"
    asked = 0

    def follow() -> bool:
        nonlocal asked
        asked += 1
        with file.open("ab") as log:
            log.write(b"line %d\n" % asked)
        return asked < 5

    assert b"".join(follow_lines([file], follow)) == b"line 1\nline 2\nline 3\nline 4\nline 5\n"


def test_a_cut_and_a_replaced_file_are_read_anew(tmp_path: Path) -> None:
    file = tmp_path / "a.log"
    file.write_bytes(b"long first\npart")
    reader = LogReader([file])
    assert reader.read_lines() == b"long first\n"
    file.write_bytes(b"cut\n")
    assert reader.read_lines() + reader.read_lines() == b"cut\n"
    new = tmp_path / "new"
    new.write_bytes(b"replaced\n")
    new.rename(file)
    assert reader.read_lines() + reader.read_lines() == b"replaced\n"
    file.unlink()
    assert reader.read_lines() == b""
    reader.close()


def test_a_line_without_an_end_is_not_kept_back_for_ever(tmp_path: Path) -> None:
    file = tmp_path / "a.log"
    file.write_bytes(b"\r50%" * (1 << 19))
    reader = LogReader([file])
    seen = len(reader.read_lines()) + len(reader.read_lines())
    assert seen + len(reader.rest()) == 4 << 19
    assert seen > 0
    reader.close()


def test_logs_are_those_of_the_record_before_it_exists_of_the_plan(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.spec.write_text('{"plan": {"mpi": {}, "nodes": 2, "processes_per_node": 1}}')
    found = logs(folder)
    assert [(log.process, log.rank) for log in found] == [
        ("worker-0", 0),
        ("worker-1", 1),
        ("mpirun-0", None),
    ]
    assert found[0].paths == (folder.attempt(0) / "logs" / "worker-0.log", folder.logs / "worker-0.log")
    folder.attempt(2).mkdir(parents=True)
    processes = [{"role": "ps", "index": 0, "rank": 1}, {"role": "chief", "index": 0, "rank": 0}]
    folder.attempt_state(2).write_text(json.dumps({"phases": [], "processes": processes}))
    found = logs(folder)
    assert [(log.process, log.attempt) for log in found] == [("chief-0", 2), ("ps-0", 2)]
    assert found[0].paths[1] == folder.logs / "attempt-2" / "chief-0.log"
