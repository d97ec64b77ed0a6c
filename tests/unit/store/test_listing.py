import json
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from launcher.errors import ConfigError, NotFoundError
from launcher.paths import RunFolder, StoreFolder
from launcher.store import records
from launcher.store.filters import parse_filters
from launcher.store.find import find_run, find_runs
from launcher.store.index import list_runs
from launcher.store.runs import delete, reserve

NOW = 1_800_000_000.0


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LAUNCHER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def store(tmp_path: Path, cache: Path) -> StoreFolder:
    assert not cache.exists()
    return StoreFolder(tmp_path / "store")


def run(
    store: StoreFolder, name: str, number: int, state: str | None = "Completed", **fields: Any
) -> RunFolder:
    folder = store.run(name, number)
    folder.root.mkdir(parents=True, exist_ok=True)
    created = fields.pop("created", NOW - 1000 + number)
    tags = fields.pop("tags", {})
    submit = {"created": created, "owner": records.owner(), "phases": [["Running", NOW]], **fields}
    folder.spec.write_text(json.dumps({"tags": tags}))
    folder.submit.write_text(json.dumps(submit))
    if state is not None:
        end(folder, state)
    return folder


def end(folder: RunFolder, state: str) -> None:
    folder.end.write_text(json.dumps({"state": state, "time": NOW}))


def ids(store: StoreFolder, *filters: str, limit: int | None = None) -> list[str]:
    return [row["id"] for row in list_runs(store, parse_filters(filters, NOW), limit)]


def test_the_newest_come_first_over_all_experiments(store: StoreFolder) -> None:
    run(store, "a", 9)
    run(store, "a", 10)
    run(store, "b", 1, created=NOW)
    assert ids(store) == ids(store) == ["b/1", "a/10", "a/9"]
    assert ids(store, limit=2) == ["b/1", "a/10"]


def test_new_ended_and_deleted_runs_are_seen_at_once(store: StoreFolder) -> None:
    first = run(store, "a", 1, None)
    assert list_runs(store, parse_filters((), NOW), 9)[0]["state"] == "Running"
    end(first, "Failed")
    assert list_runs(store, parse_filters((), NOW), 9)[0]["state"] == "Failed"
    run(store, "a", 2)
    store.run("a", 3).root.mkdir()
    assert ids(store) == ["a/2", "a/1"]
    run(store, "a", 3)
    assert ids(store) == ["a/3", "a/2", "a/1"]
    delete(store.run("a", 2))
    assert ids(store) == ["a/3", "a/1"]
    assert ids(store, limit=2) == ["a/3", "a/1"]


def test_a_settled_folder_is_not_listed_again(store: StoreFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers, listed = StoreFolder.numbers, list[str]()

    def noted(store: StoreFolder, name: str) -> Iterator[int]:
        listed.append(name)
        return numbers(store, name)

    monkeypatch.setattr(StoreFolder, "numbers", noted)
    run(store, "a", 1)
    time.sleep(2.1)
    assert ids(store) == ["a/1"]
    assert listed == ["a"]
    assert ids(store) == ["a/1"]
    assert listed == ["a"]
    run(store, "a", 2)
    assert ids(store) == ["a/2", "a/1"]
    assert listed == ["a", "a"]


@pytest.mark.parametrize("damage", ["cut", "text", "old", "folder"])
def test_a_broken_cache_is_made_again(store: StoreFolder, cache: Path, damage: str) -> None:
    run(store, "a", 1)
    assert ids(store) == ["a/1"]
    (base,) = cache.rglob("*.db")
    if damage == "cut":
        base.write_bytes(base.read_bytes()[:5000])
    elif damage == "text":
        base.write_text("this is no database, and longer than its header" * 99)
    elif damage == "old":
        with sqlite3.connect(base) as connection:
            connection.execute("PRAGMA user_version=999")
            connection.execute("DROP TABLE runs")
        connection.close()
    else:
        base.unlink()
        base.mkdir()
    assert ids(store) == ["a/1"]


def test_without_a_cache_it_works_too(
    store: StoreFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LAUNCHER_CACHE", str(tmp_path / "file" / "below"))
    run(store, "a", 1)
    assert ids(store) == ["a/1"]


def test_many_lists_at_once(store: StoreFolder) -> None:
    for number in range(1, 60):
        run(store, "a", number)
    seen: list[list[str]] = []
    threads = [threading.Thread(target=lambda: seen.append(ids(store))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [[f"a/{number}" for number in range(59, 0, -1)]] * 8


def test_filters(store: StoreFolder) -> None:
    run(store, "a", 1, "Failed", tags={"team": "x", "k": "v=w"})
    run(store, "a", 2, "Canceled", created=NOW - 7000, sweep="s1")
    run(store, "b", 3, "Completed", created=NOW - 200_000, tags={"team": "y"})
    assert ids(store, "state=failed") == ["a/1"]
    assert ids(store, "state=FAILED,canceled") == ["a/1", "a/2"]
    assert ids(store, "name=b") == ["b/3"]
    assert ids(store, "tag=team") == ["a/1", "b/3"]
    assert ids(store, "tag=team=y") == ["b/3"]
    assert ids(store, "tag=k=v=w", "tag=team=x") == ["a/1"]
    assert ids(store, "since=1h") == ["a/1"]
    assert ids(store, "since=2h", "name=a,b") == ["a/1", "a/2"]
    assert ids(store, "since=1w", "state=completed") == ["b/3"]
    assert ids(store, "sweep=s1") == ["a/2"]
    day = time.strftime("%Y-%m-%d", time.localtime(NOW - 90_000))
    assert ids(store, f"since={day}") == ["a/1", "a/2"]


def test_every_wrong_filter_is_named_with_the_choices() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_filters(["stat=failed", "state=faild", "since=yesterday", "tag=", "word"], NOW)
    text = str(caught.value)
    assert len(caught.value.problems) == 5
    for part in (
        "Did you mean state?",
        "Did you mean failed?",
        "canceled",
        "ISO date",
        "tag=KEY=VALUE",
        "name=…",
    ):
        assert part in text


def test_runs_are_found_by_what_people_type(store: StoreFolder) -> None:
    run(store, "a", 2, created=NOW + 1, sweep="0af3")
    run(store, "a", 10, created=NOW + 2, sweep="0af3")
    run(store, "b", 1, created=NOW + 3)
    store.run("b", 2).root.mkdir()
    found = {text: find_run(store, text).id for text in ("a/2", "latest", "a/latest", "b/latest")}
    assert found == {"a/2": "a/2", "latest": "b/1", "a/latest": "a/10", "b/latest": "b/1"}
    assert [folder.id for folder in find_runs(store, "0af3")] == ["a/2", "a/10"]
    with pytest.raises(NotFoundError, match="a sweep of 2 runs"):
        find_run(store, "0af3")


@pytest.mark.parametrize(
    "text", ["a/3", "mnits/1", "a", "../a/1", "a/../1", "7", "a/latest/", "x/latest", ""]
)
def test_what_is_not_there_is_told_with_a_way_on(store: StoreFolder, text: str) -> None:
    run(store, "mnist", 1)
    with pytest.raises(NotFoundError, match=r"Did you mean mnist|runs list"):
        find_run(store, text)


def test_an_empty_store_is_told(store: StoreFolder) -> None:
    with pytest.raises(NotFoundError, match="has no runs"):
        find_run(store, "latest")
    assert ids(store) == []


def test_another_store_at_the_same_path_shows_its_own_runs(store: StoreFolder) -> None:
    reserve(store, "a")
    run(store, "a", 1, state="Failed")
    run(store, "a", 2)
    assert ids(store) == ["a/2", "a/1"]
    shutil.rmtree(store.root)
    assert ids(store) == []
    reserve(store, "a")
    run(store, "a", 1, state="Completed", created=NOW)
    assert ids(store) == ["a/1"]
    assert ids(store, "state=completed") == ["a/1"]
    assert ids(store, "state=failed") == []


@pytest.mark.parametrize("way", ["restored", "copied", "moved"])
def test_a_store_from_a_backup_shows_what_the_backup_holds(
    store: StoreFolder, tmp_path: Path, way: str
) -> None:
    reserve(store, "a")
    run(store, "a", 1)
    shutil.copytree(store.root, tmp_path / "backup", symlinks=True)
    run(store, "a", 2, state="Failed")
    assert ids(store) == ["a/2", "a/1"]
    if way == "copied":
        store = StoreFolder(tmp_path / "backup")
    elif way == "moved":
        store.root.rename(tmp_path / "before")
        (tmp_path / "backup").rename(store.root)
    else:
        shutil.rmtree(store.root)
        shutil.copytree(tmp_path / "backup", store.root, symlinks=True)
    assert ids(store) == ["a/1"]
    run(store, "a", 2, state="Canceled", created=NOW)
    assert ids(store, "state=canceled") == ["a/2"]
    assert ids(store, "state=failed") == []


def test_a_number_that_was_taken_away_is_read_when_it_is_there_again(store: StoreFolder) -> None:
    reserve(store, "a")
    run(store, "a", 1)
    run(store, "a", 2, state="Failed")
    assert ids(store) == ["a/2", "a/1"]
    shutil.rmtree(store.run("a", 2).root)
    assert ids(store) == ["a/1"]
    run(store, "a", 2, state="Canceled", created=NOW)
    assert ids(store, "state=canceled") == ["a/2"]


def test_a_run_that_was_put_back_over_another_one_is_read_again(store: StoreFolder, tmp_path: Path) -> None:
    reserve(store, "a")
    run(store, "a", 1, state="Failed")
    assert ids(store, "state=failed") == ["a/1"]
    other = run(StoreFolder(tmp_path / "other"), "a", 1, state="Completed", created=NOW)
    for file in (other.submit, other.end):
        file.replace(store.run("a", 1).root / file.name)
    assert ids(store, "state=failed") == []
    assert ids(store, "state=completed") == ["a/1"]


def test_an_experiment_that_was_put_back_is_read_again(store: StoreFolder, tmp_path: Path) -> None:
    reserve(store, "a")
    run(store, "a", 1, state="Failed")
    run(store, "b", 1)
    assert ids(store, "state=failed") == ["a/1"]
    run(StoreFolder(tmp_path / "other"), "a", 1, state="Completed", created=NOW)
    shutil.rmtree(store.experiment("a"))
    (tmp_path / "other" / "runs" / "a").rename(store.experiment("a"))
    assert ids(store, "state=completed") == ["a/1", "b/1"]
