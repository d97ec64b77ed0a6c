import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from launcher.agent.base import integrity
from launcher.errors import ConfigError, StoreError
from launcher.paths import StoreFolder
from launcher.store import statcache
from launcher.store.folders import remove_tree
from launcher.store.snapshots import Snapshot, check_unchanged, snapshot


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "sub" / "empty").mkdir(parents=True)
    (folder / "train.py").write_text("print(1)\n")
    (folder / "sub" / "run.sh").write_text("#!/bin/sh\n")
    (folder / "sub" / "run.sh").chmod(0o755)
    return folder


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StoreFolder:
    monkeypatch.setenv("LAUNCHER_CACHE", str(tmp_path / "cache"))
    return StoreFolder(tmp_path / "store")


def take(source: Path, store: StoreFolder, limit_mib: float = 300) -> Snapshot:
    return snapshot(source, store, limit_mib)


def problems(source: Path, store: StoreFolder, limit_mib: float = 300) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        take(source, store, limit_mib)
    assert not store.root.exists()
    return [str(problem) for problem in caught.value.problems]


def settle(source: Path) -> None:
    """Wait until the files are old enough to be trusted."""
    newest = max(path.lstat().st_ctime for path in source.rglob("*"))
    time.sleep(max(0.0, newest + 2.1 - time.time()))


def test_a_snapshot_is_a_read_only_copy_of_the_tree(source: Path, store: StoreFolder) -> None:
    (source / "link").symlink_to("sub/run.sh")
    (source / "__pycache__").mkdir()
    (source / "__pycache__" / "x.pyc").write_text("")
    (source / ".git").write_text("gitdir: elsewhere")
    taken = take(source, store)
    assert taken.path == store.snapshots / taken.digest
    assert (taken.files, taken.bytes) == (2, 19)
    found = {
        str(path.relative_to(taken.path)): path.lstat().st_mode & 0o777 for path in taken.path.rglob("*")
    }
    del found["link"]
    assert found == {"sub": 0o555, "sub/empty": 0o555, "sub/run.sh": 0o555, "train.py": 0o444}
    assert (taken.path / "link").readlink() == Path("sub/run.sh")
    assert (taken.path / "train.py").read_text() == "print(1)\n"
    assert sorted(path.name for path in store.snapshots.iterdir()) == [taken.digest, f"{taken.digest}.json"]


def test_unchanged_source_is_the_same_snapshot_for_everybody(
    source: Path, store: StoreFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = take(source, store)
    inode = (first.path / "train.py").stat().st_ino
    assert take(source, store) == first
    monkeypatch.setenv("LAUNCHER_CACHE", str(tmp_path / "other-cache"))
    copy = tmp_path / "elsewhere"
    subprocess.run(["cp", "-r", str(source), str(copy)], check=True)
    assert take(copy, store) == first
    assert (first.path / "train.py").stat().st_ino == inode


@pytest.mark.parametrize("change", ["content", "mode", "name", "link", "folder"])
def test_every_change_is_another_snapshot(source: Path, store: StoreFolder, change: str) -> None:
    first = take(source, store)
    changes = {
        "content": lambda: (source / "train.py").write_text("print(2)\n"),
        "mode": lambda: (source / "train.py").chmod(0o755),
        "name": lambda: (source / "train.py").rename(source / "other.py"),
        "link": lambda: (source / "link").symlink_to("train.py"),
        "folder": (source / "new").mkdir,
    }
    changes[change]()
    assert take(source, store).digest != first.digest


def test_a_change_copies_only_what_changed(source: Path, store: StoreFolder) -> None:
    settle(source)
    first = take(source, store)
    (source / "train.py").write_text("print(2)\n")
    (source / "sub" / "run.sh").rename(source / "moved.sh")
    (source / "double.sh").write_text("#!/bin/sh\n")
    (source / "double.sh").chmod(0o755)
    second = take(source, store)
    kept = (first.path / "sub" / "run.sh").stat()
    assert (second.path / "moved.sh").stat().st_ino == kept.st_ino
    assert (second.path / "double.sh").stat().st_ino == kept.st_ino
    assert (second.path / "train.py").read_text() == "print(2)\n"
    assert (first.path / "train.py").read_text() == "print(1)\n"


def test_a_change_that_leaves_size_and_times_is_seen(source: Path, store: StoreFolder) -> None:
    file = source / "train.py"
    first = take(source, store)
    times = file.stat()
    file.write_text("print(9)\n")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert take(source, store).digest != first.digest


def test_fresh_files_are_not_trusted_and_settled_ones_are(source: Path, store: StoreFolder) -> None:
    take(source, store)
    assert statcache.load(source).tree.digests == {}
    settle(source)
    take(source, store)
    assert set(statcache.load(source).tree.digests) == {"train.py", "sub/run.sh"}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": 1}', '{"schema": 1, "paths": 3}', "\0"])
def test_a_broken_cache_is_no_cache(source: Path, store: StoreFolder, tmp_path: Path, text: str) -> None:
    first = take(source, store)
    for file in (tmp_path / "cache").rglob("*.json"):
        file.write_text(text)
    assert take(source, store) == first


def test_a_cache_that_cannot_be_written_is_done_without(
    source: Path, store: StoreFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LAUNCHER_CACHE", str(tmp_path / "file" / "cache"))
    assert take(source, store) == take(source, store)


@pytest.mark.usefixtures("store")
def test_the_store_within_the_source_is_not_part_of_it(source: Path) -> None:
    inside = StoreFolder(source / "store")
    first = take(source, inside)
    assert first.files == 2
    assert take(source, inside) == first


def test_any_file_name_is_kept(source: Path, store: StoreFolder) -> None:
    names = [b"caf\xe9", b"new\nline", b" ", b"-rf", b"a\\b", "日本".encode()]
    for name in names:
        (source / os.fsdecode(name)).write_bytes(name)
    taken = take(source, store)
    assert {os.fsencode(path.name) for path in taken.path.iterdir()} >= set(names)
    settle(source)
    take(source, store)
    assert take(source, store) == taken


def test_a_snapshot_has_the_name_that_its_own_tree_gives(source: Path, store: StoreFolder) -> None:
    """The agent computes it again where the record of a snapshot is damaged."""
    for name in (b"caf\xe9", "\U0001f600".encode(), b"z"):
        (source / os.fsdecode(name)).write_text("x")
    (source / "link").symlink_to("train.py")
    taken = take(source, store)
    assert integrity.tree_digest(integrity.read_content(str(taken.path))) == taken.digest


def test_what_cannot_be_kept_is_refused_by_name_all_at_once(source: Path, store: StoreFolder) -> None:
    (source / "absolute").symlink_to(source / "train.py")
    (source / "broken").symlink_to("nothing")
    (source / "outside").symlink_to("../secret")
    (source / "back").symlink_to("../source/train.py")
    (source / "circle").symlink_to("circle")
    (source / "through").symlink_to("train.py/x")
    (source / "data.log").write_text("")
    (source / "ignored").symlink_to("data.log")
    (source / ".gitignore").write_text("*.log\nfine-*\n")
    (source / "fine-broken").symlink_to("nothing")
    os.mkfifo(source / "fifo")
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(os.path.relpath(source / "socket"))
    found = problems(source, store)
    expected = {
        "'absolute'": "an absolute path",
        "'back'": "leaves the source",
        "'broken'": "does not exist",
        "'circle'": "goes in circles",
        "'fifo'": "a FIFO",
        "'ignored'": "not part of the snapshot",
        "'outside'": "leaves the source",
        "'socket'": "a socket",
        "'through'": "does not exist",
    }
    assert len(found) == len(expected)
    for name, reason in expected.items():
        assert any(name in text and reason in text for text in found), (name, found)


def test_links_within_the_source_are_kept(source: Path, store: StoreFolder) -> None:
    (source / "sub" / "up").symlink_to("../train.py")
    (source / "folder").symlink_to("sub/empty/..")
    (source / "chain").symlink_to("folder/up")
    (source / "root").symlink_to(".")
    taken = take(source, store)
    assert (taken.path / "chain").read_text() == "print(1)\n"
    assert (taken.path / "root").readlink() == Path()


def test_too_much_is_refused_with_the_biggest_named(source: Path, store: StoreFolder) -> None:
    (source / "data" / "raw").mkdir(parents=True)
    (source / "data" / "raw" / "big.bin").write_bytes(b"x" * 3_000_000)
    (source / "data" / "raw" / "small.bin").write_bytes(b"x" * 900_000)
    (source / "model.bin").write_bytes(b"x" * 1_500_000)
    (text,) = problems(source, store, limit_mib=2)
    assert "5.1 MiB in 5 files" in text
    assert "data/ 3.7 MiB, model.bin 1.4 MiB" in text
    assert "at most 2 MiB (snapshot_limit_mib)" in text
    assert ".launcherignore" in text
    (source / ".launcherignore").write_text("data/\n*.bin\n")
    assert take(source, store, 2).files == 3


@pytest.mark.parametrize("limit_mib", [300, 0])
def test_unreadable_files_and_folders_are_named(
    unprivileged: Path, monkeypatch: pytest.MonkeyPatch, limit_mib: float
) -> None:
    monkeypatch.setenv("LAUNCHER_CACHE", str(unprivileged / "cache"))
    source = unprivileged / "source"
    source.mkdir()
    (source / "secret").write_text("x")
    (source / "secret").chmod(0)
    (source / "closed").mkdir(0)
    found = "\n".join(problems(source, StoreFolder(unprivileged / "store"), limit_mib))
    assert "'closed/': got 'Permission denied'" in found
    assert "'secret': got 'Permission denied'" in found
    (source / "closed").chmod(0o700)


@pytest.mark.usefixtures("store")
def test_a_store_that_cannot_be_written_is_told(source: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        take(source, StoreFolder(tmp_path / "file" / "store"))


def test_simultaneous_launches_make_one_snapshot(source: Path, store: StoreFolder) -> None:
    for number in range(200):
        (source / f"{number}.py").write_text(str(number))
    with ThreadPoolExecutor(8) as pool:
        taken = [future.result() for future in [pool.submit(take, source, store) for _ in range(8)]]
    assert len({one.digest for one in taken}) == 1
    digest = taken[0].digest
    assert sorted(path.name for path in store.snapshots.iterdir()) == [digest, f"{digest}.json"]


def test_a_killed_launch_leaves_only_a_draft_that_the_next_removes(source: Path, store: StoreFolder) -> None:
    script = """
        import os, sys
        from pathlib import Path
        from launcher.paths import StoreFolder
        from launcher.store import snapshots
        snapshots._Draft._place = lambda self, target: os.kill(os.getpid(), 9)
        snapshots.snapshot(Path(sys.argv[1]), StoreFolder(Path(sys.argv[2])), 300)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script), source, store.root], check=False)
    assert done.returncode == -signal.SIGKILL
    assert all(path.name.startswith(".draft-") for path in store.snapshots.iterdir())
    assert len(list(store.snapshots.iterdir())) == 2
    other = store.snapshots / ".draft-other"
    other.mkdir()
    maker = {"host": "elsewhere", "boot": "b", "pid": 1, "started": 1, "pid_namespace": ""}
    (store.snapshots / ".draft-other.json").write_text(json.dumps({"owner": maker}))
    taken = take(source, store)
    assert {path.name for path in store.snapshots.iterdir()} == {
        taken.digest,
        f"{taken.digest}.json",
        ".draft-other",
        ".draft-other.json",
    }
    os.utime(store.snapshots / ".draft-other.json", (1, 1))
    (source / "train.py").write_text("changed")
    take(source, store)
    assert not other.exists()


def test_a_file_that_changes_while_it_is_copied_is_what_was_copied(
    source: Path, store: StoreFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    from launcher.store import snapshots  # noqa: PLC0415

    real = snapshots.clean_drafts

    def late(folder: StoreFolder) -> None:
        real(folder)
        (source / "train.py").write_text("print(7)\n")

    monkeypatch.setattr(snapshots, "clean_drafts", late)
    taken = take(source, store)
    assert (taken.path / "train.py").read_text() == "print(7)\n"
    monkeypatch.undo()
    monkeypatch.setenv("LAUNCHER_CACHE", str(source.parent / "fresh"))
    assert take(source, store).digest == taken.digest


def test_read_only_trees_can_be_removed_without_following_links(unprivileged: Path) -> None:
    other = unprivileged / "other"
    other.mkdir(0o500)
    tree = unprivileged / "tree"
    (tree / "sub" / "deep").mkdir(parents=True)
    (tree / "sub" / "deep" / "file").write_text("")
    (tree / "link").symlink_to(other)
    for folder in (tree / "sub" / "deep", tree / "sub", tree):
        folder.chmod(0o500)
    assert remove_tree(tree)
    assert not tree.exists()
    assert other.stat().st_mode & 0o777 == 0o500


def test_what_cannot_be_removed_is_told(unprivileged: Path) -> None:
    tree = unprivileged / "closed" / "tree"
    tree.mkdir(parents=True)
    (unprivileged / "closed").chmod(0o500)
    assert not remove_tree(tree)
    (unprivileged / "closed").chmod(0o700)


def damage(path: Path, text: str = "V=2\n") -> None:
    """Write into a snapshot as a script of root does, or of a user who sets the mode first."""
    for place in (path.parent, *([path] if path.exists() else [])):
        place.chmod(0o755)
    with path.open("a") as file:
        file.write(text)


def test_a_changed_snapshot_is_restored_by_the_next_launch_of_the_same_source(
    source: Path, store: StoreFolder
) -> None:
    first = take(source, store)
    damage(first.path / "train.py")
    damage(first.path / "sub" / "new.py")
    integrity.raise_alarm(str(first.path), "mnist/1", integrity.find_changes(str(first.path)))
    again = take(source, store)
    assert again.digest == first.digest
    assert (again.path / "train.py").read_text() == "print(1)\n"
    assert not (again.path / "sub" / "new.py").exists()
    assert again.restored == ("sub/new.py (new)", "train.py (changed)")
    assert take(source, store).restored == ()
    assert sorted(path.name for path in store.snapshots.iterdir()) == [
        first.digest,
        f"{first.digest}.json",
        "changed.json",
    ]


def test_a_changed_file_is_never_linked_into_another_snapshot(source: Path, store: StoreFolder) -> None:
    settle(source)
    first = take(source, store)
    path = first.path / "train.py"
    path.chmod(0o644)
    path.write_text("print(2)\n")  # of the same size
    (source / "other.py").write_text("")
    second = take(source, store)
    assert second.digest != first.digest
    assert (second.path / "train.py").read_text() == "print(1)\n"


def test_a_change_through_a_hard_link_is_found_in_every_snapshot(source: Path, store: StoreFolder) -> None:
    settle(source)
    first = take(source, store)
    (source / "other.py").write_text("")
    second = take(source, store)
    assert (first.path / "train.py").samefile(second.path / "train.py")
    damage(second.path / "train.py")
    integrity.raise_alarm(str(second.path), "mnist/2", integrity.find_changes(str(second.path)))
    (source / "other.py").unlink()
    restored = take(source, store)
    assert restored.digest == first.digest
    assert restored.restored == ("train.py (changed)",)
    assert (restored.path / "train.py").read_text() == "print(1)\n"


def test_a_changed_snapshot_is_refused_with_the_names_of_what_changed(
    source: Path, store: StoreFolder
) -> None:
    taken = take(source, store)
    check_unchanged(taken.path)
    damage(taken.path / "train.py")
    with pytest.raises(
        StoreError, match=r"was changed after it was frozen: train\.py \(changed\)\. A launch of"
    ):
        check_unchanged(taken.path)


def test_paths_that_are_linked_are_not_frozen(source: Path, store: StoreFolder) -> None:
    (source / "data").mkdir()
    (source / "data" / "big").write_text("x" * 100)
    (source / "sub" / "own").write_text("x")
    taken = snapshot(source, store, 300, ("data", "sub/own"))
    assert sorted(str(path.relative_to(taken.path)) for path in taken.path.rglob("*")) == [
        "sub",
        "sub/empty",
        "sub/run.sh",
        "train.py",
    ]
    assert take(source, store).files == 4


def test_ignored_folders_that_a_script_may_need_are_named(source: Path, store: StoreFolder) -> None:
    names = ["data", "checkpoints", ".venv", "env", "build", "outputs", "x.egg-info", "__pycache__", "kept"]
    for name in names:
        (source / name).mkdir()
        (source / name / "file").touch()
    (source / "env" / "pyvenv.cfg").touch()
    (source / "notes.txt").touch()
    (source / ".gitignore").write_text("".join(f"{name}\n" for name in [*names[:-1], "notes.txt"]))
    assert take(source, store).left_out == ("checkpoints/", "data/")
    assert snapshot(source, store, 300, ("data", "checkpoints")).left_out == ()


def test_what_hydra_wrote_is_not_frozen(source: Path, store: StoreFolder) -> None:
    before = take(source, store).digest
    for mark in (
        "outputs/2026-01-02/03-04-05/.hydra/config.yaml",
        "multirun/2026-01-02/03-04-05/multirun.yaml",
    ):
        path = source / mark
        path.parent.mkdir(parents=True)
        path.write_text("x: 1")
    (source / "multirun" / "2026-01-02" / "03-04-05" / "0").mkdir()
    (source / "multirun" / "2026-01-02" / "03-04-05" / "0" / "train.log").touch()
    assert take(source, store).digest == before
    (source / "outputs" / "mine.txt").touch()
    taken = take(source, store)
    assert sorted(str(path.relative_to(taken.path)) for path in taken.path.glob("*s/**/*")) == [
        "outputs/mine.txt"
    ]
