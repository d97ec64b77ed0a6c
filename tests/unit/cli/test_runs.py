import json
import os
import pty
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from launcher import cli
from launcher.errors import ConfigError, LauncherError, NotFoundError, StoreError
from launcher.paths import RunFolder, StoreFolder

# The helpers beside the fixtures; tests are no package.
_spec = spec_from_file_location("cli_conftest", Path(__file__).with_name("conftest.py"))
assert _spec is not None
assert _spec.loader is not None
helpers: Any = module_from_spec(_spec)
_spec.loader.exec_module(helpers)

Say = Callable[..., str]


@pytest.fixture
def say(capfdbinary: pytest.CaptureFixture[bytes]) -> Say:
    """Run `launcher runs …` and return what it printed."""

    def run(*words: str, code: int = 0) -> str:
        capfdbinary.readouterr()
        assert cli.main(["runs", *words]) == code
        return capfdbinary.readouterr().out.decode("utf-8", "surrogateescape")

    return run


def test_list_shows_columns_and_json(failed: RunFolder, store: StoreFolder, say: Say) -> None:
    helpers.make(store, 2, overrides=[b"args.x=\xe9".decode("utf-8", "surrogateescape")])
    header, newest, oldest = say("list").splitlines()
    assert header.split() == ["RUN", "STATE", "CREATED", "TIME", "METRICS", "TAGS", "OVERRIDES"]
    assert newest.split()[:2] == ["mnist/2", "Queued"]
    assert newest.encode("utf-8", "surrogateescape").endswith(b"args.x=\xe9")
    assert oldest.split()[:2] == ["mnist/1", "Failed"]
    assert "10.0 s" in oldest
    assert "team=vision" in oldest
    assert newest.index("Queued") == oldest.index("Failed")
    rows = json.loads(say("list", "--json", "state=failed"))
    assert [row["id"] for row in rows] == [failed.id]
    assert rows[0]["metrics"] == {"loss": "NaN", "acc": 0.5}
    assert rows[0]["cause"] == "worker-1 on node1 exited with 7"


def test_empty_lists_say_what_comes_next(store: StoreFolder, say: Say) -> None:
    assert "No runs in" in say("list")
    assert json.loads(say("list", "--json")) == []
    helpers.make(store, 1)
    assert "passes these filters" in say("list", "name=other")
    assert "The newest 1;" in say("list", "-n", "1")
    assert "The newest" not in say("list", "-n", "1", "--all")


def test_show_tells_everything(failed: RunFolder, say: Say) -> None:
    text = say("show", "latest")
    for part in (
        "state        Failed after 10.0 s",
        "worker 1 (rank 1) on node1 exited with 7",
        "ValueError: bad",
        "by ann on box",
        "Queued      5.0 s",
        "overrides    nodes=2",
        "sweep        5eed",
        "tags         team=vision",
        "abc123 (3 files, 2.0 KiB)",
        "c0ffee on main, with changes",
        "/usr/bin/python3",
        "images: /data/images",
        "worker-1    rank 1, node1: exited with 7",
        "acc = 0.5",
        str(failed.outputs),
        "nodes: 2",
        f"python -m launcher runs rerun {failed.id}",
    ):
        assert part in text
    data = json.loads(say("show", failed.id, "--json"))
    assert data["cause"]["last_lines"] == ["Traceback", "ValueError: bad"]
    assert data["phases"][0][0] == "Preparing"
    assert data["config"] == "nodes: 2\n"


def test_show_of_a_run_that_goes_on(store: StoreFolder, say: Say) -> None:
    folder = helpers.make(store, 1)
    helpers.attempt(folder, 0, [helpers.process(0), helpers.process(1, signal=9)])
    text = say("show", folder.id)
    assert "state        Running for" in text
    assert "worker-0    rank 0, node0: runs" in text
    assert "worker-1    rank 1, node1: ended by SIGKILL" in text
    assert "runs logs -f mnist/1" in text
    folder.cancel.write_text(json.dumps({"by": "bob", "host": "elsewhere"}))
    assert "CancelRequested by bob" in say("show", folder.id)
    helpers.end(folder, "Canceled")
    assert "Canceled after 10.0 s, by bob on elsewhere" in say("show", folder.id)


def test_logs_of_ranks_processes_and_attempts(failed: RunFolder, say: Say) -> None:
    assert say("logs", failed.id) == "first of 1\nsecond\n"
    (failed.logs / "worker-1.log").write_bytes(b"\xff of rank 1")
    assert say("logs", failed.id, "--rank", "1").encode("utf-8", "surrogateescape") == b"\xff of rank 1"
    assert say("logs", failed.id, "--process", "worker-0") == "first of 1\nsecond\n"
    lines = [json.loads(line) for line in say("logs", failed.id, "--json").splitlines()]
    assert lines[1] == {"process": "worker-0", "attempt": 0, "line": "second"}
    helpers.attempt(failed, 1, [helpers.process(0)])
    assert say("logs", failed.id) == ""
    assert say("logs", failed.id, "--attempt", "0") == "first of 1\nsecond\n"
    for words, expected in (
        (["--rank", "5"], "--rank 5: there is no such process; expected worker-0 (rank 0)"),
        (["--process", "ps-0"], "--process ps-0"),
        (["--attempt", "9"], "expected one of 0, 1"),
    ):
        with pytest.raises(NotFoundError) as caught:
            cli.main(["runs", "logs", failed.id, *words])
        assert expected in str(caught.value)


def test_following_goes_on_through_attempts_to_the_end(store: StoreFolder, say: Say) -> None:
    folder = helpers.make(store, 1)

    def go() -> None:
        time.sleep(0.2)
        helpers.attempt(folder, 0, [helpers.process(0)])
        time.sleep(0.1)
        with (folder.logs / "worker-0.log").open("a") as log:
            log.write("third\n")
        folder.attempt_logs(1).mkdir()
        helpers.attempt(folder, 0, [helpers.process(0, exit_code=1)], outcome="Failed")
        helpers.attempt(folder, 1, [helpers.process(0)])
        time.sleep(0.2)
        (folder.attempt_logs(1) / "worker-0.log").write_text("again\n")
        helpers.end(folder, "Completed")

    thread = threading.Thread(target=go)
    thread.start()
    assert say("logs", "-f", folder.id) == "first of 1\nsecond\nthird\nagain\n"
    thread.join()


def test_files_and_their_sizes(failed: RunFolder, say: Say) -> None:
    text = say("files", failed.id)
    assert "2.0 KiB" in text
    assert "outputs/model/weights" in text
    assert "logs/worker-0.log" in text
    rows = json.loads(say("files", failed.id, "outputs", "--json"))
    assert [(row["name"], row["size"]) for row in rows] == [("outputs/model/weights", 2048)]
    assert "has no files in nothing" in say("files", failed.id, "nothing")


def test_download(failed: RunFolder, say: Say, tmp_path: Path) -> None:
    (failed.outputs / "broken").symlink_to("nothing")
    say("download", failed.id, "outputs/model/weights")
    assert (tmp_path / "weights").stat().st_size == 2048
    say("download", failed.id, "outputs", "-o", "copy")
    assert [str(path) for path in Path("copy").rglob("*") if path.is_file()] == ["copy/outputs/model/weights"]
    say("download", failed.id)
    assert Path("mnist-1/logs/worker-0.log").read_text() == "first of 1\nsecond\n"
    (tmp_path / "weights").write_text("mine")
    with pytest.raises(StoreError, match="weights: already there"):
        cli.main(["runs", "download", failed.id, "outputs/model/weights"])
    assert (tmp_path / "weights").read_text() == "mine"
    assert json.loads(say("download", failed.id, "outputs/model/weights", "--force", "--json")) == ["weights"]
    assert (tmp_path / "weights").stat().st_size == 2048
    with pytest.raises(NotFoundError, match=r"Did you mean outputs/model\?"):
        cli.main(["runs", "download", failed.id, "outputs/modle"])


def test_wait_tells_each_end_and_fails_if_one_failed(failed: RunFolder, store: StoreFolder, say: Say) -> None:
    other = helpers.make(store, 2, sweep="5eed")
    timer = threading.Timer(0.3, helpers.end, (other, "Completed"))
    timer.start()
    text = say("wait", "5eed", code=1)
    assert text.splitlines() == [
        f"{failed.id}  Failed in 10.0 s: worker-1 on node1 exited with 7",
        f"{other.id}  Completed",
    ]
    timer.join()
    assert say("wait", other.id).startswith("mnist/2  Completed")
    third = helpers.make(store, 3)
    rows = json.loads(say("wait", third.id, "--timeout", "0.1", "--json", code=1))
    assert [(row["id"], row["state"]) for row in rows] == [("mnist/3", "Queued")]


def test_cancel_asks_waits_and_tells(failed: RunFolder, store: StoreFolder, say: Say) -> None:
    live = helpers.make(store, 2)

    def supervise() -> None:
        while not live.cancel.exists():
            time.sleep(0.02)
        helpers.end(live, "Canceled")

    thread = threading.Thread(target=supervise)
    thread.start()
    text = say("cancel", failed.id, live.id)
    thread.join()
    assert text.splitlines() == ["mnist/1  Failed, it was over before", "mnist/2  Canceled"]
    assert not failed.cancel.exists()


def test_cancel_of_a_run_that_takes_its_time(
    store: StoreFolder, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("launcher.cli.runs_change.CANCEL_WAIT_S", 0.0)
    live = helpers.make(store, 2)
    assert "CancelRequested: its processes are still ending; `runs wait mnist/2`" in say("cancel", live.id)
    assert json.loads(say("cancel", live.id, "--json")) == [{"id": "mnist/2", "state": "CancelRequested"}]


def test_delete_names_what_it_leaves(failed: RunFolder, store: StoreFolder, say: Say) -> None:
    live = helpers.make(store, 2)
    assert say("delete", failed.id, live.id, code=2).splitlines() == ["mnist/1  deleted"]
    assert list(failed.root.iterdir()) == []
    assert live.submit.exists()
    assert json.loads(say("delete", "--force", "--json", live.id)) == ["mnist/2"]
    assert "No runs in" in say("list")


@pytest.mark.parametrize(
    ("words", "error", "text"),
    [
        (["runs", "show", "mnits/1"], NotFoundError, "Did you mean mnist"),
        (["runs", "list", "sate=failed"], ConfigError, "Did you mean state"),
        (["rnus"], ConfigError, "Did you mean runs?"),
        (["nodes"], ConfigError, "An override has a '='"),
    ],
)
def test_mistakes_are_told_with_the_way_on(
    failed: RunFolder, words: list[str], error: type[LauncherError], text: str
) -> None:
    assert failed.submit.exists()
    with pytest.raises(error) as caught:
        cli.main(words)
    assert text in str(caught.value)
    assert caught.value.exit_code == 2


def test_every_command_has_a_module_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    for name in cli.COMMANDS:
        with pytest.raises(SystemExit) as caught:
            cli.main([name, "--help"])
        assert caught.value.code == 0
        assert f"launcher {name}" in capsys.readouterr().out
    assert cli.main(["help"]) == 0
    overview = capsys.readouterr().out
    assert all(f"\n  {name}" in overview for name in cli.COMMANDS)


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout


def test_a_list_imports_nothing_heavy(failed: RunFolder) -> None:
    assert failed.submit.exists()
    code = (
        "import sys; from launcher.__main__ import main; main(['runs', 'list']); main(['runs', 'list'])\n"
        "print('heavy:', *sorted({'hydra', 'omegaconf', 'rich', 'pathspec', 'yaml'} & set(sys.modules)))"
    )
    assert python(code).splitlines()[-1] == "heavy:"


def test_a_reader_that_has_seen_enough_is_no_error(failed: RunFolder) -> None:
    (failed.logs / "worker-0.log").write_bytes(b"line\n" * 200_000)
    line = f"{sys.executable} -m launcher runs logs latest | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, check=True, text=True)
    assert (done.stdout, done.stderr) == ("line\n0\n", "")


def test_a_terminal_gets_a_table_without_colours_if_asked(failed: RunFolder) -> None:
    assert failed.submit.exists()
    colours = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "120"}
    colours.pop("NO_COLOR", None)
    assert "\x1b[31mFailed" in on_terminal(colours)
    plain = on_terminal({**colours, "NO_COLOR": "1"})
    assert "\x1b[31m" not in plain
    assert "mnist/1" in plain


def on_terminal(environment: dict[str, str]) -> str:
    main, worker = pty.openpty()
    line = [sys.executable, "-m", "launcher", "runs", "list"]
    subprocess.run(line, stdout=worker, check=True, env=environment)
    os.close(worker)
    text = b""
    try:
        while chunk := os.read(main, 65536):
            text += chunk
    except OSError:  # Linux tells the end of a terminal so
        pass
    os.close(main)
    return text.decode()
