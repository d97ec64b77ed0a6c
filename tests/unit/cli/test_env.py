"""`env`: what is listed, shown and pruned of folders in the cache; images are a matter of a real engine."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from launcher.__main__ import main
from launcher.agent.base import atomic_json, process_identity
from launcher.cli.completion import complete
from launcher.engine.shelf import Shelved
from launcher.environment.cache.folder import CachedEnvironment, bytes_of, entry_of, prepared
from launcher.environment.cache.inventory import image_entries
from launcher.paths import StoreFolder
from launcher.spec import Prepared
from launcher.store.lease import Lease
from tests.unit.cli.conftest import end, make

KEYS = ["a" * 64, "b" * 64, "c" * 64]
DAY_S = 86_400


@pytest.fixture
def cache(store: StoreFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    assert not store.root.exists()
    return tmp_path / "cache"


def put(cache: Path, key: str, *, days: float = 0, conda: bool = False, **about: Any) -> CachedEnvironment:
    """Make an environment that was used so many days ago."""
    place = entry_of(cache, key)
    prefix = place.root / "0123abcd"
    (prefix / "bin").mkdir(parents=True)
    (prefix / "bin" / "python").symlink_to(sys.executable)
    (prefix / "data").write_bytes(b"d" * 10_000)
    place.log.write_text("built\n")
    env = {"CONDA_PREFIX": str(prefix)} if conda else {}
    python = str(prefix / "bin" / "python")
    place.finish(Prepared(key=key, python=python, prefix=str(prefix), env=env, packages=("six==1",)), about)
    os.utime(place.ready, (0, time.time() - days * DAY_S))
    return place


def told(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    capsys.readouterr()
    assert main(["env", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def pruned(capsys: pytest.CaptureFixture[str], *words: str) -> list[tuple[str, str]]:
    return [(row["kind"], row["name"]) for row in told(capsys, "prune", *words)["removed"]]


def test_there_may_be_none(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["env", "list"]) == 0
    out, err = capsys.readouterr()
    assert f"No environments in {cache}" in out
    assert "Images are left out: " in err
    assert main(["env", "prune"]) == 0
    assert "Nothing to remove" in capsys.readouterr().out


def test_a_list(store: StoreFolder, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(cache, KEYS[0], days=2, wants=["numpy>=2", "six"], bytes=3 << 20)
    put(cache, KEYS[1], conda=True)
    entry_of(cache, KEYS[2]).root.mkdir()
    end(make(store, 1, environment={"key": KEYS[0]}), "Completed")
    make(store, 2, environment={"key": KEYS[0]})
    assert main(["env", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    [first] = [line for line in lines if line.startswith("aaaaaaaaaaaa ")]
    assert first.split()[1:4] == ["packages", "3.0", "MiB"]
    assert first.endswith("2     numpy>=2 six")
    rows = {row["key"]: row for row in told(capsys, "list")}
    assert [rows[key[:20] if key == KEYS[2] else key]["kind"] for key in KEYS] == [
        "packages",
        "conda",
        "unfinished",
    ]
    assert (rows[KEYS[0]]["runs"], rows[KEYS[0]]["runs_open"]) == (2, 1)
    assert rows[KEYS[1]]["size_bytes"] > 10_000
    assert list(rows)[-1] == KEYS[0]  # used before the others


def test_all_about_one(store: StoreFolder, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = put(cache, KEYS[0], wants=["six"], build_s=1.5)
    put(cache, "ab" * 32)
    (place.root / "0123abcd.tar.gz").write_bytes(b"a")
    for number in range(1, 8):
        end(make(store, number, environment={"key": KEYS[0]}), "Completed")
    assert main(["env", "show", "aa"]) == 0
    out = capsys.readouterr().out
    for words in ("six==1", str(place.log), "0123abcd.tar.gz", "built in 1.5 s", "mnist/7, ", "and 2 more"):
        assert words in out
    shown = told(capsys, "show", "aa")
    assert (shown["packages"], len(shown["run_ids"])) == (["six==1"], 7)
    for word, why in (("a", "2 environments begin so"), ("f", "no such environment"), ("", "no such")):
        assert main(["env", "show", word]) == 2
        assert why in capsys.readouterr().err


def test_what_was_used_lately_or_is_needed_stays(
    store: StoreFolder, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, needed, young = (put(cache, key, days=days) for key, days in zip(KEYS, (40, 40, 10), strict=True))
    make(store, 1, environment={"key": KEYS[1]})
    end(make(store, 2, environment={"key": KEYS[0]}), "Failed")
    assert pruned(capsys, "--dry-run") == [("packages", KEYS[0][:20])]
    assert old.ready.exists()
    assert main(["env", "prune"]) == 0
    assert "1 removed, up to" in capsys.readouterr().out
    assert (old.root.exists(), needed.ready.exists(), young.ready.exists()) == (False, True, True)
    assert pruned(capsys, "--unused-for", "1w", "--dry-run") == [("packages", KEYS[2][:20])]
    assert pruned(capsys, "--all") == [("packages", KEYS[2][:20])]
    assert [path.name for path in (cache / "environments").iterdir()] == [KEYS[1][:20]]


def test_what_a_run_may_be_about_to_use_stays(
    store: StoreFolder, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(cache, KEYS[0], days=1)
    place = put(cache, KEYS[1])
    run = make(store, 1, environment=None)  # created a moment ago, and it prepares
    assert pruned(capsys, "--all") == [("packages", KEYS[0][:20])]
    end(run, "Canceled")
    assert pruned(capsys, "--all") == [("packages", KEYS[1][:20])]
    assert not place.root.exists()


def test_what_only_another_host_can_use_stays(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its Python is a link to one that this host does not have."""
    place = put(cache, KEYS[0], days=1)
    (place.root / "0123abcd" / "bin" / "python").unlink()
    (place.root / "0123abcd" / "bin" / "python").symlink_to("/opt/of/the/nodes/python")
    assert place.prepared() is None
    assert [row["kind"] for row in told(capsys, "list")] == ["packages"]
    assert pruned(capsys) == []
    assert pruned(capsys, "--all") == [("packages", KEYS[0][:20])]


def test_what_a_job_has_built_for_itself_is_needed(
    store: StoreFolder, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The node's Python is another than that of the submitting host, and so is the key."""
    put(cache, KEYS[0], days=40)
    run = make(store, 1, environment={"key": KEYS[1], "build": {"python": "/usr/bin/python3"}})
    run.attempt_environment(0).parent.mkdir(parents=True)
    atomic_json.write(str(run.attempt_environment(0)), {"key": KEYS[0]})
    assert pruned(capsys, "--all") == []
    end(run, "Completed")
    assert pruned(capsys) == [("packages", KEYS[0][:20])]


def test_use_is_noted(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = put(cache, KEYS[0], days=40)
    assert prepared(cache, KEYS[0]) is not None
    assert time.time() - place.ready.stat().st_mtime < 60
    assert pruned(capsys) == []


def test_builds_that_did_not_finish(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    left, building = (entry_of(cache, key).root / "deadbeef" for key in KEYS[:2])
    for path in (left, building, cache / "wheels" / "x" / "deadbeef"):
        path.mkdir(parents=True)
    ready = put(cache, KEYS[2])
    strays = ("deadbeef", "0123abcd.1234abcd.draft", "deadbeef.tar.zst", "0123abcd.tar.gz")
    (ready.root / strays[0]).mkdir()
    for name in strays[1:]:
        (ready.root / name).write_text("")
    (cache / "wheels" / "x" / "horovod-1.whl").touch()
    with_lease = Lease(cache / "leases", f"environment-{KEYS[1][:20]}")
    assert with_lease.try_take()
    with with_lease:
        assert {row["kind"] for row in told(capsys, "list")} == {"unfinished", "building", "packages"}
        assert sorted(pruned(capsys)) == [("unfinished", name) for name in (KEYS[0][:20], KEYS[2][:20], "x")]
    assert (left.exists(), building.exists()) == (False, True)
    assert sorted(path.name for path in ready.root.iterdir()) == [
        "0123abcd", "0123abcd.tar.gz", "build.log", "ready.json"
    ]  # fmt: skip
    assert [path.name for path in (cache / "wheels" / "x").iterdir()] == ["horovod-1.whl"]


def test_a_builder_elsewhere_is_given_up_after_a_day(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = entry_of(cache, KEYS[0]).root
    root.mkdir(parents=True)
    lease = cache / "leases" / f"environment-{root.name}.json"
    lease.parent.mkdir()
    holder = {**process_identity.identity(), "host": "node7", "boot": "other", "nonce": "1"}
    atomic_json.write(str(lease), holder)
    assert pruned(capsys) == []
    os.utime(lease, (0, time.time() - 2 * DAY_S))
    assert pruned(capsys) == [("unfinished", root.name)]
    assert not lease.exists()


def test_archives_that_were_not_used(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = put(cache, KEYS[0], days=1)
    archive = place.root / "0123abcd.tar.gz"
    archive.write_bytes(b"x" * 5000)
    os.utime(archive, (0, time.time() - 50 * DAY_S))
    assert pruned(capsys) == [("archive", KEYS[0][:20])]
    assert (archive.exists(), place.ready.exists()) == (False, True)


def test_logs_of_images_stay_without_their_engine(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = entry_of(cache, KEYS[0])
    (place.root / "work").mkdir(parents=True)
    place.log.write_text("")
    assert told(capsys, "list") == []
    assert pruned(capsys, "--all") == []
    assert place.log.exists()


def test_images_by_label_and_name(cache: Path) -> None:
    def shelved(*tags: str, **about: Any) -> Shelved:
        known: dict[str, Any] = {"python": "/usr/bin/python3", "env": {}, "packages": ["six==1"], **about}
        return Shelved("sha256:1", tags, (), {"launcher.environment": json.dumps(known)}, 7.0, 5)

    key = KEYS[0]
    found = image_entries(
        cache,
        [
            shelved(f"launcher/environment:{key[:20]}"),  # before its label had the key
            shelved(f"localhost:5000/team/env:{key[:20]}", key=key, wants=["six"]),
            shelved(f"mine:{key[:20]}"),
            shelved("mine:1", key=key),  # made from one
            shelved(key=key),
            Shelved("sha256:2", ("launcher/environment:x",), (), {"launcher.environment": "{"}, 0, 0),
            Shelved("sha256:2", ("launcher/environment:x",), (), {}, 0, 0),
        ],
    )
    assert [(entry.place, entry.wants) for entry in found] == [
        (f"launcher/environment:{key[:20]}", ()),
        (f"localhost:5000/team/env:{key[:20]}", ("six",)),
    ]
    assert found[1].names == (key[:20], "sha256:1")


def test_bytes_are_counted_once(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"x" * 100_000)
    before = bytes_of(tmp_path)
    (tmp_path / "two").hardlink_to(tmp_path / "one")
    assert bytes_of(tmp_path) == before > 100_000
    assert bytes_of(tmp_path / "none") == 0


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["prune", "--unused-for", "soon"], "30d"),
        (["build", "framework=python", "environment=image"], "environment.image"),
        (["build", "--store"], "a folder must follow"),
        (["build", "--cfg", "job"], "takes the words of a launch"),
        (["build", "-x"], "this flag is unknown"),
    ],
)
@pytest.mark.usefixtures("cache")
def test_bad_input(words: list[str], why: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["env", *words]) == 2
    assert why in capsys.readouterr().err


def test_build_of_what_is_there_already(
    store: StoreFolder, cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["framework=python", "environment=current", "source=gone", "script=gone.py"]  # it needs neither
    assert main(["env", "build", *words, "--store", str(tmp_path / "other")]) == 0
    out = capsys.readouterr().out
    assert out.startswith("current  ")
    assert "was there" in out
    built = told(capsys, "build", "-m", *words, "args.x=1,2")
    assert [(made["key"], made["built"]) for made in built] == [("current", False)]
    assert not store.root.exists()
    assert not any(cache.iterdir())


@pytest.mark.parametrize(
    ("words", "some"),
    [
        (["en"], "env"),
        (["env", ""], "prune"),
        (["env", "show", ""], KEYS[0][:20]),
        (["env", "prune", "--u"], "--unused-for"),
        (["env", "build", "frame"], "framework="),
        (["env", "build", "--js"], "--json"),
        (["compute", ""], "clean"),
        (["compute", "clean", "--d"], "--dry-run"),
    ],
)
def test_completion(cache: Path, words: list[str], some: str) -> None:
    put(cache, KEYS[0])
    assert some in complete(words)
    assert complete(["env", "list", ""]) == []


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["env", "build", "--help"])
    assert "OVERRIDE" in capsys.readouterr().out
    assert main(["help"]) == 0
    assert "env  " in capsys.readouterr().out


def test_images_of_one_key_are_listed_once(tmp_path: Path) -> None:
    """Such as one that has two names, and one that was built anew for a registry."""
    key = "d" * 64
    labels = {"launcher.environment": json.dumps({"key": key, "python": "python3"})}

    def image(number: int, *tags: str) -> Shelved:
        names = tuple(f"{tag}:{key[:20]}" for tag in tags)
        return Shelved(f"sha256:{number}", names, (f"r/x@sha256:{number}",), labels, 1.0, 100)

    [entry] = image_entries(tmp_path, [image(2, "r/x"), image(1, "r/x", "launcher/environment")])
    assert entry.place == f"launcher/environment:{key[:20]}"
    assert entry.more == (f"r/x:{key[:20]}", f"r/x:{key[:20]}")
    assert set(entry.ids) == {"sha256:1", "sha256:2"}
    assert {"sha256:1", "sha256:2", "r/x@sha256:1", "r/x@sha256:2"} < set(entry.names)
    assert entry.size == 200
