import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from launcher import cli
from launcher.errors import ConfigError, DeleteError, LauncherError, NotFoundError, StoreError
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
    assert rows[0]["cause"]["message"] == "worker-1 on node1 exited with 7"
    assert rows[0]["attempts"] == [0]
    shown = json.loads(say("show", failed.id, "--json"))
    assert {key: shown[key] for key in rows[0]} == rows[0]  # a list has the same of each run


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
        "cause        worker-1 on node1 exited with 7 (while Running)\n             | Traceback",
        "| ValueError: bad",
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
        f"python -m launcher runs logs {failed.id} --process worker-1",
        f"python -m launcher runs rerun {failed.id}",
    ):
        assert part in text
    assert text.count("exited with 7") == 2  # the cause and the process
    data = json.loads(say("show", failed.id, "--json"))
    assert data["cause"]["last_lines"] == ["Traceback", "ValueError: bad"]
    assert data["phases"][0][0] == "Preparing"
    assert data["config"] == "nodes: 2\n"


def test_show_of_a_run_that_goes_on(store: StoreFolder, say: Say) -> None:
    folder = helpers.make(store, 1)
    helpers.attempt(folder, 0, [helpers.process(0), helpers.process(1, signal=9)])
    text = say("show", folder.id)
    assert "state        Running for" in text
    assert "worker-0    rank 0, node0: running" in text
    assert "worker-1    rank 1, node1: killed by signal 9 (SIGKILL)" in text
    assert "runs logs -f mnist/1" in text
    folder.cancel.write_text(json.dumps({"by": "bob", "host": "elsewhere"}))
    assert "CancelRequested by bob" in say("show", folder.id)
    helpers.end(folder, "Canceled")
    text = say("show", folder.id)
    assert "Canceled after 10.0 s, by bob on elsewhere" in text
    assert "worker-0    rank 0, node0: end not recorded" in text


def test_show_has_the_configuration_that_differs_from_the_defaults(failed: RunFolder, say: Say) -> None:
    config = (
        "# compute=slurm data=none distribution=mpi environment=current framework=python\n"
        "name: mnist\ndescription: ''\nsource: src\nargs:\n  steps: 5\n  wide: null\nenv: {}\nnodes: 2\n"
        "wait: true\nsnapshot_limit_mib: 300.0\ncompute:\n  account: team\n  gres: null\n  container:\n"
        "    kind: null\n    image: my/image\nframework:\n  name: python\n  version: null\ndistribution:\n"
        "  start: mpirun\n  mpi_args: null\ndata:\n  inputs: {}\n"
    )
    failed.config.write_text(config)
    spec = json.loads(failed.spec.read_text())
    kinds = {"compute": {"kind": "slurm"}, "distribution": {"kind": "mpi"}, "data": {"kind": "inputs"}}
    failed.spec.write_text(json.dumps({**spec, **kinds, "framework": {"name": "python"}}))
    shown = say("show", failed.id).split("config.yaml\n")[1].split("\nnext")[0]
    assert shown.splitlines() == [
        " " * 13 + line
        for line in (
            "# compute=slurm data=none distribution=mpi environment=current framework=python",
            "source: src",
            "args:",
            "  steps: 5",
            "  wide: null",
            "nodes: 2",
            "compute:",
            "  account: team",
            "  container:",
            "    image: my/image",
            "`python -m launcher runs show --config mnist/1` shows all of it",
        )
    ]
    whole = say("show", failed.id, "--config").split("config.yaml\n")[1].split("\nnext")[0]
    assert [line.strip() for line in whole.splitlines()] == [line.strip() for line in config.splitlines()]


@pytest.mark.parametrize(
    ("kept", "objective", "texts"),
    [
        ({"value": 0.25}, 0.25, ("0.25", "returned=0.25")),
        ({"value": 3}, 3.0, ("3", "returned=3")),
        ({"value": [0.5, {"a": 1}]}, None, ('[0.5, {"a": 1}]', 'returned=[0.5, {"a": 1}]')),
        ({"value": True}, None, ("true", "returned=true")),
        ({"value": "x" * 50}, None, (f'"{"x" * 50}"', f'returned="{"x" * 18}…')),
        ({"value": None, "lost": "T: no"}, None, ("a value that JSON cannot hold (T: no)", "mnist/1")),
    ],
)
def test_what_a_hydra_app_returned(
    failed: RunFolder, say: Say, kept: dict[str, Any], objective: float | None, texts: tuple[str, str]
) -> None:
    spec = json.loads(failed.spec.read_text())
    failed.spec.write_text(json.dumps({**spec, "app": {"task_name": "train"}}))
    failed.returned.write_text(json.dumps(kept))
    text = say("show", failed.id)
    assert f"returned     {texts[0]}\n" in text
    assert "`python -m launcher runs show --config mnist/1` shows all of it" in text
    assert texts[1] in say("list")
    for data in (json.loads(say("show", failed.id, "--json")), json.loads(say("list", "--json"))[0]):
        assert (data["objective"], data["returned"]) == (objective, kept["value"])


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
    copies = json.loads(say("download", failed.id, "outputs/model/weights", "--force", "--json"))
    assert copies == [{"path": "weights"}]
    assert (tmp_path / "weights").stat().st_size == 2048
    with pytest.raises(NotFoundError, match=r"Did you mean outputs/model\?"):
        cli.main(["runs", "download", failed.id, "outputs/modle"])


def test_wait_tells_each_end_and_fails_if_one_failed(failed: RunFolder, store: StoreFolder, say: Say) -> None:
    other = helpers.make(store, 2, sweep="5eed")
    timer = threading.Timer(0.3, helpers.end, (other, "Completed"))
    timer.start()
    text = say("wait", "5eed", code=1)
    assert text.splitlines() == [
        f"{failed.id}  Failed after 10.0 s: worker-1 on node1 exited with 7",
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
    monkeypatch.setattr("launcher.cli.runs_cancel.CANCEL_WAIT_S", 0.0)
    live = helpers.make(store, 2)
    assert "CancelRequested: it has not begun, and is not over yet; `runs wait mnist/2`" in say(
        "cancel", live.id
    )
    live.attempt(0).mkdir(parents=True)
    assert "CancelRequested: its processes are still ending; `runs wait mnist/2`" in say("cancel", live.id)
    assert json.loads(say("cancel", live.id, "--json")) == [{"id": "mnist/2", "state": "CancelRequested"}]


def test_delete_names_what_it_leaves(failed: RunFolder, store: StoreFolder, say: Say) -> None:
    live = helpers.make(store, 2)
    with pytest.raises(DeleteError, match=r"mnist/2: this run is Queued") as raised:
        cli.main(["runs", "delete", failed.id, live.id])
    assert raised.value.exit_code == 1  # one of the two was deleted
    assert list(failed.root.iterdir()) == []
    assert live.submit.exists()
    assert json.loads(say("delete", "--force", "--json", live.id)) == [{"id": "mnist/2", "state": "Deleted"}]
    assert "No runs in" in say("list")


@pytest.mark.parametrize(
    ("words", "error", "text"),
    [
        (["runs", "show", "mnits/1"], NotFoundError, "Did you mean mnist"),
        (["runs", "list", "sate=failed"], ConfigError, "Did you mean state"),
        (["rnus"], ConfigError, "Did you mean `launcher runs`?"),
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


@pytest.mark.parametrize("columns", [20, 80, 100])
def test_a_narrow_terminal_gets_whole_ids_and_one_line_a_run(store: StoreFolder, columns: int) -> None:
    for number in (1, 2):
        helpers.make(store, number, overrides=[f"args.some-long-name-{at}=0.00{at}" for at in range(9)])
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    text = on_terminal({**environment, "TERM": "xterm", "NO_COLOR": "1"}, columns)
    lines = text.replace("\r", "").splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["RUN", "mnist/2", "mnist/1"]
    assert all(len(line) <= columns for line in lines[:3])
    assert ("args.some-long-name-" in text) == (columns > 20)
    assert ("No room for" in text) == (columns == 20)


def on_terminal(environment: dict[str, str], columns: int = 0) -> str:
    main, worker = pty.openpty()
    fcntl.ioctl(worker, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
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
