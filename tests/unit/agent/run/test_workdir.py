"""The work folder and the manifest."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from launcher.agent.base import atomic_json, process_logs
from launcher.agent.run import links, workdir
from launcher.agent.run.manifest import write_manifest

ODD = ["plain.py", "sp ace", "-dash", "new\nline", "ä", os.fsdecode(b"\xff\xfe"), ".hidden", "'\"$`"]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder whose snapshot is read-only and holds odd names."""
    snapshot = tmp_path / "snapshot"
    (snapshot / "package").mkdir(parents=True)
    (snapshot / "package" / "module.py").write_text("x = 1")
    (snapshot / "package" / "link").symlink_to("module.py")
    (snapshot / "dangling").symlink_to("nowhere")
    (snapshot / "outputs").mkdir()
    (snapshot / "logs").write_text("not a folder")
    for name in ODD:
        (snapshot / name).write_text(name, errors="surrogateescape")
    for path in (snapshot / "package" / "module.py", snapshot / "plain.py"):
        path.chmod(0o444)
    folder = tmp_path / "runs" / "1"
    folder.mkdir(parents=True)
    (folder / "source").symlink_to("../../snapshot")
    return folder


@pytest.mark.parametrize("mode", ["link", "copy"])
def test_everything_of_the_source_is_there(run: Path, mode: str) -> None:
    work = Path(workdir.make(str(run), 0, mode))
    assert work == run / "work" / "0"
    for name in ODD:
        assert os.fsencode((work / name).read_text(errors="surrogateescape")) == os.fsencode(name)
    assert (work / "package" / "module.py").read_text() == "x = 1"
    assert (work / "package" / "link").is_symlink()
    (work / "outputs" / "model").write_text("m")
    (work / "logs" / "events").write_text("e")
    assert (run / "outputs" / "model").read_text() == "m"
    assert (run / "logs" / "events").read_text() == "e"
    assert (run / "metrics").is_dir()


def test_a_copy_may_be_changed_and_the_snapshot_is_not(run: Path) -> None:
    work = Path(workdir.make(str(run), 1, "copy"))
    for path in (work / "package" / "module.py", work / "plain.py"):
        assert path.stat().st_mode & 0o200
        path.write_text("changed")
    assert (run / "source" / "package" / "module.py").read_text() == "x = 1"
    assert os.readlink(work / "dangling") == "nowhere"  # noqa: PTH115  # as it is written
    workdir.tidy(str(work))
    assert (work / "plain.py").exists()
    assert not (work / "outputs").exists()


def test_what_only_links_is_tidied_away(run: Path) -> None:
    workdir.tidy(workdir.make(str(run), 0, "link"))
    assert not (run / "work").exists()


def test_what_the_script_left_in_its_folder_is_kept(run: Path) -> None:
    work = Path(workdir.make(str(run), 0, "link"))
    (work / "left").write_text("kept")
    (work / "own").symlink_to("/tmp")
    workdir.tidy(str(work))
    assert sorted(os.listdir(work)) == ["left", "own"]


@dataclass(frozen=True)
class Attempts:
    """Work folders of a run whose processes start in a sub-folder of the source, or in none."""

    run: Path
    cwd: str

    def begin(self, attempt: int = 0, *, app: bool = False, mode: str = "link") -> Path:
        """Return the folder in which the processes of an attempt start."""
        work = workdir.make(str(self.run), attempt, mode, app=app, cwd=self.cwd)
        return Path(work, self.cwd)

    def tidy(self, attempt: int = 0, *, keep_paths: bool = False) -> None:
        """End an attempt."""
        workdir.tidy(str(self.run / "work" / str(attempt)), self.cwd, keep_paths)


@pytest.fixture(params=["", "package/deep"])
def attempts(run: Path, request: pytest.FixtureRequest) -> Attempts:
    """Work folders of a run."""
    for name in ("outputs", "logs"):
        (run / "source" / "package" / "deep" / name).mkdir(parents=True)
        (run / "source" / "package" / "deep" / name / "old").touch()
    (run / "source" / "package" / "deep" / "data").write_text("d")
    return Attempts(run, request.param)


@pytest.mark.parametrize("mode", ["link", "copy"])
def test_the_start_folder_is_no_part_of_the_source(run: Path, attempts: Attempts, mode: str) -> None:
    start = attempts.begin(mode=mode)
    assert (start / "outputs").is_dir()
    assert not (start / "outputs").is_symlink()
    assert os.listdir(start / "outputs") == []
    (start / "outputs" / "model").touch()
    (start / "new").touch()
    for folder in (run, run / "work" / "0"):
        assert os.listdir(folder / "outputs") == ["model"]
    attempts.tidy()
    assert os.listdir(run / "outputs") == ["model"]
    assert (start / "new").exists()
    assert sorted(os.listdir(run / "source/package/deep")) == ["data", "logs", "outputs"]
    if mode == "link":
        assert os.listdir(start) == ["new"]


def test_a_script_may_write_above_the_start_folder(run: Path) -> None:
    attempts = Attempts(run, "package")
    start = attempts.begin()
    (start / ".." / "outputs").unlink()  # as `rm -rf ../outputs` does
    (start / ".." / "outputs").mkdir()
    for folder, name in ((start, "inner"), (start / "..", "outer")):
        (folder / "outputs" / name).touch()
        (folder / "outputs" / "both").write_text(name)
    attempts.tidy()
    assert sorted(os.listdir(run / "outputs")) == ["both", "inner", "outer"]
    assert (run / "outputs" / "both").read_text() == "inner"


def test_a_script_may_move_the_start_folder(run: Path) -> None:
    attempts = Attempts(run, "package")
    (attempts.begin() / "outputs" / "model").touch()
    (run / "work/0/package").rename(run / "moved")
    attempts.tidy()
    assert (run / "moved/outputs/model").exists()
    assert os.listdir(run / "outputs") == []
    assert not (run / "work").exists()


def test_a_script_may_remove_its_folders_and_make_them_anew(attempts: Attempts) -> None:
    run = attempts.run
    work = attempts.begin()
    for name in ("outputs", "logs"):
        (work / name / "old").touch()
        shutil.rmtree(work / name)
        (work / name).mkdir()
        (work / name / "new").write_text(name)
        assert (run / name / "new").read_text() == name  # while it runs
    attempts.tidy()
    for name in ("outputs", "logs"):
        assert not (run / name).is_symlink()
        assert [path.name for path in (run / name).iterdir()] == ["new"]
    assert not (run / "work").exists()


def test_a_folder_that_was_moved_stays_where_it_went(attempts: Attempts) -> None:
    run = attempts.run
    work = attempts.begin()
    (work / "outputs" / "first").touch()
    (work / "outputs").rename(work / "elsewhere")
    (work / "outputs").mkdir()
    (work / "outputs" / "second").touch()
    attempts.tidy()
    assert [path.name for path in (run / "outputs").iterdir()] == ["second"]
    assert (work / "elsewhere" / "first").exists()


@pytest.mark.parametrize("absolute", [False, True])
def test_a_link_in_place_of_a_folder_is_kept(attempts: Attempts, *, absolute: bool) -> None:
    run = attempts.run
    work = attempts.begin()
    results = work / "results"
    results.mkdir()
    (work / "outputs").rmdir()
    (work / "outputs").symlink_to(results if absolute else "results")
    (work / "outputs" / "model").write_text("m")
    attempts.tidy()
    assert (run / "outputs").is_symlink()
    assert (run / "outputs" / "model").read_text() == "m"
    again = attempts.begin(1)
    assert (again / "outputs" / "model").read_text() == "m"
    assert (run / "outputs" / "model").read_text() == "m"
    attempts.tidy(1)
    assert (run / "outputs" / "model").read_text() == "m"


def test_a_file_in_place_of_a_folder_is_kept_in_it(attempts: Attempts) -> None:
    run = attempts.run
    work = attempts.begin()
    (work / "outputs").rmdir()
    (work / "outputs").write_text("a file")
    attempts.tidy()
    assert (run / "outputs" / "outputs").read_text() == "a file"


@pytest.mark.parametrize("way", ["removed", "leads home"])
def test_a_folder_that_is_gone_is_empty_at_the_end(attempts: Attempts, way: str) -> None:
    run = attempts.run
    work = attempts.begin()
    (work / "outputs").rmdir()
    if way == "leads home":
        (work / "outputs").symlink_to("../../outputs")
    attempts.tidy()
    assert list((run / "outputs").iterdir()) == []
    assert not (run / "outputs").is_symlink()


@pytest.mark.parametrize("tidied", [True, False])
def test_the_next_attempt_has_what_the_last_one_wrote(attempts: Attempts, *, tidied: bool) -> None:
    run = attempts.run
    first = attempts.begin()
    (first / "outputs" / "checkpoint").write_text("7")
    path = (first / "outputs" / "checkpoint").resolve()
    if tidied:  # else its agent was killed
        attempts.tidy(keep_paths=True)
    second = attempts.begin(1)
    assert (second / "outputs" / "checkpoint").read_text() == "7"
    assert (run / "outputs" / "checkpoint").read_text() == "7"
    assert path.exists() == tidied
    attempts.tidy(1)
    assert (run / "outputs" / "checkpoint").read_text() == "7"
    assert not (run / "outputs").is_symlink()


def test_an_attempt_that_was_superseded_loses_nothing(attempts: Attempts) -> None:
    run = attempts.run
    first = attempts.begin()
    second = attempts.begin(1)
    (second / "outputs" / "both").write_text("second")
    (first / "outputs").mkdir()  # its script goes on elsewhere
    (first / "outputs" / "both").write_text("first")
    (first / "outputs" / "late").touch()
    attempts.tidy()
    attempts.tidy(1)
    assert (run / "outputs" / "both").read_text() == "second"
    assert (run / "outputs" / "late").exists()
    assert (first / "outputs" / "both").read_text() == "first"


def test_a_job_of_an_app_has_the_folder_of_the_run_itself(run: Path, attempts: Attempts) -> None:
    work = attempts.begin(app=True)
    shutil.rmtree(run / "outputs")
    (run / "outputs").mkdir()
    (run / "outputs" / "model").write_text("m")
    assert (work / "outputs" / "model").read_text() == "m"
    attempts.tidy()
    assert (run / "outputs" / "model").read_text() == "m"
    assert not (run / "work").exists()


def test_logs_of_processes_outlast_a_script_that_removes_them(run: Path, attempts: Attempts) -> None:
    work = attempts.begin()
    process_logs.publish(str(run), 0, ["worker-0.log", "worker-1.log", "worker-2.log"])
    own = Path(process_logs.folder_of(str(run), 0))
    (own / "worker-0.log").write_text("kept")
    assert (run / "logs" / "worker-0.log").read_text() == "kept"
    shutil.rmtree(work / "logs")
    assert process_logs.find(str(run), str(run / "attempts" / "0"), "logs/worker-0.log") == str(
        own / "worker-0.log"
    )
    (work / "logs").mkdir()
    (work / "logs" / "worker-1.log").write_text("the script's")
    attempts.tidy()
    process_logs.settle(str(run), 0)
    process_logs.settle(str(run), 0)
    assert (run / "logs" / "worker-0.log").read_text() == "kept"
    assert (run / "logs" / "worker-1.log").read_text() == "the script's"
    assert os.listdir(own) == ["worker-1.log"]
    assert process_logs.find(str(run), str(run / "attempts" / "0"), "logs/worker-0.log") == str(
        run / "logs" / "worker-0.log"
    )


def test_logs_that_the_script_left_alone_have_one_name_at_the_end(run: Path) -> None:
    workdir.make(str(run), 1, "link")
    process_logs.publish(str(run), 1, ["worker-0.log"])
    process_logs.settle(str(run), 1)
    assert not (run / "attempts" / "1" / "logs").exists()
    assert (run / "logs" / "attempt-1" / "worker-0.log").stat().st_nlink == 1


def test_the_manifest_does_not_follow_a_link_out_of_the_run(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "big").touch()
    root = tmp_path / "run"
    (root / "work" / "0" / "results").mkdir(parents=True)
    (root / "work" / "0" / "results" / "x").write_text("x")
    (root / "outputs").symlink_to(tmp_path / "elsewhere")
    (root / "logs").symlink_to("work/0/results")
    write_manifest(str(root), 60)
    files = (atomic_json.read(str(root / "manifest.json")) or {})["files"]
    assert files.keys() == {"outputs", "logs/x"}


def test_links_lead_to_the_projects_own_folders(run: Path, tmp_path: Path) -> None:
    """Also beside a script's own file, by its true path."""
    data = tmp_path / "project" / "data"
    data.mkdir(parents=True)
    paths = {"data": str(data), "package/cache/deep": str(data)}
    work = Path(workdir.make(str(run), 0, "copy"))
    links.make(str(work), paths)
    (work / "plain.py").resolve().with_name("data").joinpath("written").write_text("w")
    assert (data / "written").read_text() == "w"
    assert (work / "package" / "module.py").resolve().parent.joinpath("cache/deep/written").exists()
    assert not (run / "source" / "data").exists()
    links.remove(str(work), paths)
    workdir.tidy(str(work))
    assert (data / "written").exists()
    assert not (work / "data").exists()


def test_the_manifest_lists_what_a_run_left(tmp_path: Path) -> None:
    for name in ("outputs/a/model", f"logs/{ODD[5]}", "metrics/worker-0.jsonl", "work/0/ignored"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("content")
    big = tmp_path / "big"
    big.write_bytes(b"x" * 100)
    (tmp_path / "outputs" / "link").symlink_to(big)
    os.mkfifo(tmp_path / "outputs" / "fifo")
    (tmp_path / "outputs" / "large").touch()
    os.truncate(tmp_path / "outputs" / "large", 10**13)  # sparse; 14 hours to hash
    write_manifest(str(tmp_path), 60)
    files = (atomic_json.read(str(tmp_path / "manifest.json")) or {})["files"]
    hashed = {name for name, entry in files.items() if "sha256" in entry}
    assert hashed == {"outputs/a/model", f"logs/{ODD[5]}", "metrics/worker-0.jsonl"}
    assert files.keys() - hashed == {"outputs/link", "outputs/fifo", "outputs/large"}
    assert files["outputs/a/model"]["size"] == 7
    assert files["outputs/a/model"]["sha256"] == hashlib.sha256(b"content").hexdigest()


def test_without_time_nothing_is_hashed(tmp_path: Path) -> None:
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs" / "x").write_text("x")
    write_manifest(str(tmp_path), 0)
    assert "sha256" not in (atomic_json.read(str(tmp_path / "manifest.json")) or {})["files"]["outputs/x"]
