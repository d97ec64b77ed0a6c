"""Inputs of a run: what is wrong with them, and how they come to this machine."""

from __future__ import annotations

import functools
import http.server
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from launcher.data import CHOICES, Inputs, fetch, variable
from launcher.data.digits import CSV_SHA256, ORIGIN
from launcher.errors import LauncherError


class Steps:
    """Remembers what was told."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def step(self, text: str, done: float | None = None) -> None:
        del done
        self.texts.append(text)


def found(**inputs: dict[str, str]) -> list[str]:
    anything: Any = SimpleNamespace(source=Path())
    return [str(problem) for problem in Inputs(inputs=inputs).check(anything, anything)]


PROBLEMS: list[tuple[dict[str, dict[str, str]], str]] = [
    ({"a": {}}, "data.inputs.a.uri: got ''; expected a path or an address"),
    ({"a": {"uri": "/nope"}}, "data.inputs.a.uri: got '/nope'; expected a folder or file that exists"),
    (
        {"a": {"uri": "launcher:digit"}},
        (
            "data.inputs.a.uri: got 'launcher:digit'; expected one of launcher:digits. "
            "Did you mean launcher:digits?"
        ),
    ),
    (
        {"a": {"uri": "/", "mode": "mout"}},
        "data.inputs.a.mode: got 'mout'; expected mount or download. Did you mean mount?",
    ),
    (
        {"a": {"uri": "/", "url": "x"}},
        "data.inputs.a.url: got 'x'; expected one of uri, mode, files, at, layout. Did you mean uri?",
    ),
    (
        {"1": {"uri": "/"}},
        "data.inputs.1: got '1'; expected a name of letters, digits, '_' and '-', beginning with a letter",
    ),
    (
        {"a-b": {"uri": "/"}, "a_b": {"uri": "/"}},
        "data.inputs.a_b: got 'a_b'; expected another name: LAUNCHER_DATA_A_B is taken by a-b",
    ),
    (
        {"a": {"uri": "/", "files": "none.gz|none other"}},
        "data.inputs.a.uri: got '/'; expected a folder with none.gz, other. Plain or gzipped is the same",
    ),
]


@pytest.mark.parametrize(("inputs", "problem"), PROBLEMS)
def test_problems(inputs: dict[str, dict[str, str]], problem: str) -> None:
    assert found(**inputs) == [problem]


def test_nothing_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "b.gz").touch()
    assert (
        found(
            a={"uri": str(tmp_path), "files": "b|b.gz"}, b={"uri": "s3://x/y"}, c={"uri": "launcher:digits"}
        )
        == []
    )
    assert (CHOICES["inputs"], variable("my-input")) == (Inputs, "LAUNCHER_DATA_MY_INPUT")


def test_a_mount_is_the_path_itself_and_a_download_a_copy_by_content(tmp_path: Path) -> None:
    source = tmp_path / "files"
    (source / "sub").mkdir(parents=True)
    (source / "sub" / "a").write_text("one")
    inputs = Inputs(inputs={"m": {"uri": str(source)}, "d": {"uri": f"file://{source}", "mode": "download"}})
    first = inputs.prepare(tmp_path / "cache", Steps())
    assert first["m"] == str(source)
    assert (Path(first["d"]) / "sub" / "a").read_text() == "one"
    assert inputs.prepare(tmp_path / "cache", Steps()) == first
    (source / "sub" / "a").write_text("two")
    again = inputs.prepare(tmp_path / "cache", Steps())
    assert (Path(again["d"]) / "sub" / "a").read_text() == "two"
    assert (Path(first["d"]) / "sub" / "a").read_text() == "one"
    one = Inputs(inputs={"f": {"uri": str(source / "sub" / "a"), "mode": "download"}})
    assert [file.name for file in Path(one.prepare(tmp_path / "cache", Steps())["f"]).iterdir()] == ["a"]


def test_digits_that_are_there_are_not_fetched_again(tmp_path: Path) -> None:
    folder = tmp_path / "data" / f"digits-{CSV_SHA256[:12]}"
    folder.mkdir(parents=True)
    (folder / ORIGIN).touch()
    inputs = Inputs(inputs={"digits": {"uri": "launcher:digits"}})
    assert inputs.prepare(tmp_path, Steps()) == {"digits": str(folder)}


def test_one_of_many_makes_it_and_the_others_wait(tmp_path: Path) -> None:
    made: list[int] = []

    def make(draft: Path) -> None:
        made.append(1)
        time.sleep(0.3)
        draft.mkdir()

    def once() -> None:
        fetch.once(tmp_path / "data" / "x", make, Steps())

    threads = [threading.Thread(target=once) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["x", "x.json"]


def test_nothing_is_left_of_a_failure_nor_of_what_was_killed(tmp_path: Path) -> None:
    (tmp_path / "data" / ".x.0123" / "half").mkdir(parents=True)

    def fail(draft: Path) -> None:
        draft.mkdir()
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        fetch.once(tmp_path / "data" / "x", fail, Steps())
    assert list((tmp_path / "data").iterdir()) == []
    assert list((tmp_path / "leases").iterdir()) == []


def test_who_was_given_up_for_dead_publishes_nothing(tmp_path: Path) -> None:
    def make(draft: Path) -> None:
        draft.mkdir()
        [lease] = (tmp_path / "leases").iterdir()
        lease.unlink()  # as an heir's, once it is done

    with pytest.raises(LauncherError, match="was not fetched in time"):
        fetch.once(tmp_path / "data" / "x", make, Steps())
    assert list((tmp_path / "data").iterdir()) == []


def test_a_cache_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "cache").touch()
    inputs = Inputs(inputs={"a": {"uri": str(tmp_path / "file"), "mode": "download"}})
    with pytest.raises(LauncherError, match="LAUNCHER_CACHE"):
        inputs.prepare(tmp_path / "cache", Steps())


def test_addresses_need_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(LauncherError, match=r"https://x/y needs: pip install 'launcher\[data\]'"):
        Inputs(inputs={"a": {"uri": "https://x/y"}}).prepare(tmp_path, Steps())


def test_addresses_are_fetched_once(tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    system = fsspec.filesystem("memory")
    for name in ("in/a.gz", "in/sub/b"):
        system.pipe(f"/{name}", name.encode())
    steps = Steps()
    inputs = Inputs(
        inputs={
            "all": {"uri": "memory://in/"},
            "one": {"uri": "memory://in/a.gz"},
            "named": {"uri": "memory://in", "files": "a|a.gz"},
        }
    )
    paths = {name: Path(path) for name, path in inputs.prepare(tmp_path, steps).items()}
    assert (paths["all"] / "sub" / "b").read_text() == "in/sub/b"
    assert [file.name for file in paths["one"].iterdir()] == ["a.gz"]
    assert [file.name for file in paths["named"].iterdir()] == ["a.gz"]
    told = len(steps.texts)
    inputs.prepare(tmp_path, steps)
    assert len(steps.texts) == told
    with pytest.raises(LauncherError, match=r"cannot fetch memory://in: not found: nope"):
        Inputs(inputs={"a": {"uri": "memory://in", "files": "nope"}}).prepare(tmp_path, steps)
    assert not list((tmp_path / "data").glob(".*"))


def test_a_site_with_the_files_is_enough(tmp_path: Path) -> None:
    pytest.importorskip("fsspec")
    pytest.importorskip("aiohttp")
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "b.gz").write_bytes(b"packed")
    handler = functools.partial(Quiet, directory=str(tmp_path / "site"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        uri = f"http://127.0.0.1:{server.server_port}"
        one = Inputs(inputs={"a": {"uri": f"{uri}/", "files": "b|b.gz"}}).prepare(tmp_path, Steps())
        assert (Path(one["a"]) / "b.gz").read_bytes() == b"packed"
        with pytest.raises(LauncherError, match="cannot fetch"):
            Inputs(inputs={"a": {"uri": f"{uri}/nope"}}).prepare(tmp_path, Steps())
        server.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
        del format, args
