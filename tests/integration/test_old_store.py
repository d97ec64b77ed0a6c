"""A store and a cache that version 0.1.0 wrote, under this version's commands."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from launcher.paths import StoreFolder
from tests.integration.conftest import Lab
from tests.stores import copy_home

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

STATES = {
    "trained/1": "Completed",
    "broken/1": "Failed",
    "canceled/1": "Canceled",
    "digits/1": "Completed",
    "fetched/1": "Completed",
    "packages/1": "Completed",
    "app/1": "Completed",
    "app/2": "Completed",
    "sweep/1": "Completed",
    "sweep/2": "Failed",
    "sweep/3": "Failed",
    "sweep/4": "Failed",
}
"""Oldest first. The supervisor of `sweep` was killed while its third member ran and its fourth waited."""


class OldLab(Lab):
    """Commands in a home of version 0.1.0."""

    def __init__(self, folder: Path, **options: str) -> None:
        super().__init__(folder)
        self.home = copy_home("0.1.0", folder / "home", **options)
        self.store = StoreFolder(self.home / "project" / "store")
        self.env["LAUNCHER_STORE"] = str(self.store.root)
        self.env["LAUNCHER_CACHE"] = str(self.home / "cache")

    def json(self, *words: str) -> Any:
        """Return what a command prints as JSON."""
        done = self.command(*words, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def shown(self, run: str) -> Any:
        """Return what `runs show` prints."""
        return self.json("runs", "show", run)

    def sweep_of(self, name: str) -> str:
        """Return the id of the sweep of an experiment."""
        return self.shown(f"{name}/1")["sweep"]

    def launch_again(self) -> subprocess.CompletedProcess[str]:
        """Launch the project as it is now."""
        words = ["framework=python", "environment=current", "data=none", "script=train.py", "name=trained"]
        return self.command(*words, f"source={self.home / 'project'}")

    def source_of(self, run: str) -> Path:
        """Return the snapshot that a run has."""
        return (self.store.root / "runs" / run / "source").resolve()

    def run_states(self) -> dict[str, str]:
        """Return the state of each run, oldest first."""
        runs = self.json("runs", "list", "--all")
        assert not [run["damage"] for run in runs if run["damage"]]
        return {run["id"]: run["state"] for run in reversed(runs)}


@pytest.fixture
def old(tmp_path: Path) -> Iterator[OldLab]:
    """Commands in a home of version 0.1.0."""
    lab = OldLab(tmp_path)
    yield lab
    lab.clean_up()


def test_all_runs_are_listed(old: OldLab) -> None:
    """Records have no checksum, which is not damage."""
    assert not list(old.store.root.rglob("store.json"))
    assert b"crc32" not in b"".join(path.read_bytes() for path in old.store.root.rglob("*.json"))
    states = old.run_states()
    assert {run: states[run] for run in STATES} == STATES
    listed = old.command("runs", "list", "--all")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert "Damaged" not in listed.stdout
    assert old.json("runs", "list", "tag=team=vision")[-1]["metrics"]["loss"] == pytest.approx(1 / 3)


def test_each_run_is_shown(old: OldLab) -> None:
    for run, state in STATES.items():
        shown = old.shown(run)
        assert (shown["state"], shown["user"], shown["damage"]) == (state, "ada", [])
    shown = old.shown("broken/1")
    cause = shown["cause"]
    assert (cause["kind"], cause["node"], cause["exit_code"]) == ("exit", "node0", 1)
    assert cause["last_lines"] == ["rank 0: fail", "it broke"]
    text = old.command("runs", "show", "broken/1").stdout
    assert "worker-1    rank 1, node1: killed by signal 15 (SIGTERM)" in text
    assert old.shown("canceled/1")["cause"]["kind"] == "cancel"
    assert old.shown("app/2")["returned"] == pytest.approx(0.4)
    for run in ("sweep/3", "sweep/4"):
        assert old.shown(run)["cause"]["kind"] == "supervisor_lost"
    assert "mode: fail" in old.command("runs", "show", "sweep/2", "--config").stdout


def test_files_and_logs(old: OldLab, tmp_path: Path) -> None:
    files = old.command("runs", "files", "trained/1").stdout
    assert "outputs/model-0.txt" in files
    assert "logs/notes.txt" in files
    assert old.command("runs", "logs", "broken/1").stdout == "rank 0: fail\nit broke\n"
    assert old.command("runs", "logs", "broken/1", "--rank", "1").stdout == "rank 1: fail\n"
    assert old.command("runs", "logs", "-f", "sweep/3").stdout == "rank 0: hold\n"
    copy = tmp_path / "copy"
    assert old.command("runs", "download", "trained/1", "outputs", "-o", str(copy)).returncode == 0
    assert [path.read_text() for path in copy.rglob("model-0.txt")] == ["weights"]


def test_sweeps_are_listed_and_shown(old: OldLab) -> None:
    listed = {sweep["id"]: sweep for sweep in old.json("sweeps", "list")}
    assert set(listed) == {old.sweep_of("app"), old.sweep_of("sweep")}
    old.command("runs", "list")  # finds that the supervisor is gone, also for the member that never started
    shown = old.json("sweeps", "show", old.sweep_of("sweep"))
    assert [member["state"] for member in shown["members"]] == ["Completed", "Failed", "Failed", "Failed"]
    modes = ["done", "fail", "hold", "done2"]
    for member, mode in zip(shown["members"], modes, strict=True):
        assert f"args.mode={mode}" in member["overrides"]


def test_runs_of_each_kind_run_again(old: OldLab) -> None:
    """The input of `fetched` comes from the cache, for its server is gone, and so does that of `packages`."""
    ready = next((old.home / "cache" / "environments").rglob("ready.json"))
    recorded = ready.read_bytes()
    for name, code in {"trained": 0, "broken": 1, "fetched": 0, "packages": 0, "app": 0}.items():
        done = old.command("runs", "rerun", f"{name}/1")
        assert done.returncode == code, done.stderr
        shown = old.shown("latest")
        assert shown["rerun_of"] == f"{name}/1"
        assert shown["state"] == STATES[f"{name}/1"]
    assert ready.read_bytes() == recorded
    first, again = old.source_of("trained/1"), old.source_of("trained/2")
    assert first == again
    assert old.command("runs", "logs", "fetched/2").stdout == "['labels.csv']\n"
    assert old.shown("app/3")["returned"] == pytest.approx(0.2)


@pytest.mark.parametrize("rerun", [True, False])
def test_a_frozen_source_that_was_changed_since(old: OldLab, rerun: bool) -> None:
    """Snapshots of 0.1.0 have no record of what they hold, but a name that tells."""
    source = old.source_of("trained/1")
    (source / "__pycache__").mkdir()
    (source / "__pycache__" / "train.pyc").touch()  # as Python writes it for root
    assert old.command("runs", "rerun", "trained/1").returncode == 0
    source.with_name(f"{source.name}.json").unlink()
    frozen = (source / "train.py").read_text()
    (source / "train.py").write_text("print('changed')\n")
    if rerun:
        done = old.command("runs", "rerun", "trained/1")
        assert done.returncode != 0
        assert f"the snapshot {source.name} was changed after it was frozen" in done.stderr
    assert old.launch_again().returncode == 0
    assert (source / "train.py").read_text() == frozen
    assert old.source_of("trained/3") == source


def test_a_sweep_that_was_cut_off_is_resumed(old: OldLab) -> None:
    sweep = old.sweep_of("sweep")
    done = old.command("sweeps", "resume", sweep, "args.mode=done,fail,hold,other")
    assert done.returncode == 2
    assert "args.mode: frozen 'done2', given 'other' (member 3)" in done.stderr
    assert done.stderr.count(": frozen ") == 1  # and no option that 0.1.0 did not have
    done = old.command("sweeps", "resume", sweep, "args.mode=done,fail,hold,done2")
    assert done.returncode == 1, done.stderr  # one fails again
    members = old.json("sweeps", "show", sweep)["members"]
    assert [member["state"] for member in members] == ["Completed", "Failed", "Completed", "Completed"]
    assert members[0]["run"] == "sweep/1"
    assert [member["run"] for member in members[1:]] == ["sweep/5", "sweep/6", "sweep/4"]
    assert "resumes      sweep/2" in old.command("runs", "show", "sweep/5").stdout
    assert old.command("runs", "logs", "sweep/4").stdout == "rank 0: done2\n"
    assert "no member failed" in old.command("sweeps", "resume", old.sweep_of("app")).stdout


def test_a_new_launch_goes_on_with_the_numbers_and_the_snapshot(old: OldLab) -> None:
    done = old.launch_again()
    assert done.returncode == 0, done.stderr
    assert old.source_of("trained/2") == old.source_of("trained/1")


def test_runs_are_deleted(old: OldLab) -> None:
    before = old.run_states()
    assert old.command("runs", "delete", "broken/1", old.sweep_of("app")).returncode == 0
    left = {run: state for run, state in before.items() if run not in {"broken/1", "app/1", "app/2"}}
    assert old.run_states() == left
    assert old.source_of("trained/1").is_dir()


def test_nothing_of_the_store_is_cleaned_away(old: OldLab) -> None:
    files = {path: path.read_bytes() for path in old.store.root.rglob("*") if path.is_file()}
    done = old.command("compute", "clean")
    assert "damaged" not in done.stdout + done.stderr
    assert all(path.read_bytes() == data for path, data in files.items())


def test_an_environment_of_the_cache_is_listed_and_pruned(old: OldLab) -> None:
    (entry,) = old.json("env", "list")
    assert (entry["kind"], entry["wants"], entry["runs"]) == ("packages", ["six==1.17.0"], 1)
    folder = old.home / "cache" / "environments" / entry["key"][:20]
    assert "six==1.17.0" in old.command("env", "show", entry["key"][:12]).stdout
    assert old.command("env", "prune", "--all").returncode == 0
    assert not folder.exists()
    assert old.json("env", "list") == []


def test_a_store_of_another_host(tmp_path: Path) -> None:
    """What ran there may still run: nobody here can know."""
    old = OldLab(tmp_path, host="elsewhere")
    assert old.run_states() == {**STATES, "sweep/3": "Running", "sweep/4": "Queued"}
