"""Folders on a disk where other users can write: made by this user alone, or refused."""

from __future__ import annotations

import fcntl
import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from launcher.agent.base import process_identity
from launcher.agent.base.tmp import (
    attempt_mark,
    is_own,
    own_folder,
    own_folders,
    store_id,
    tmp_folder,
    tmp_name,
)
from launcher.agent.node import local_env
from launcher.agent.node.node import remove_tmp
from launcher.agent.run.commands import Commands

STRANGER = 65533
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")


def test_a_folder_is_private_and_taken_again(tmp_path: Path) -> None:
    path = tmp_path / "a"
    assert own_folder(str(path)) == own_folder(str(path)) == str(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o700


@needs_root
@pytest.mark.parametrize("what", ["stranger's", "open", "link", "file"])
def test_what_somebody_else_put_there_is_refused_and_not_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    path = Path(tmp_folder("/run#0#0"))
    aside = tmp_path / "aside"
    aside.mkdir(mode=0o700)
    (aside / "kept").touch()
    if what == "link":
        path.symlink_to(aside)
    elif what == "file":
        path.touch(mode=0o600)
    else:
        path.mkdir(mode=0o700)
        (path / "kept").touch()
        if what == "open":
            path.chmod(0o770)
        else:
            os.chown(path, STRANGER, STRANGER)
    assert is_own(str(path)) == (what == "open")
    with pytest.raises(OSError, match="is not a private folder of this user; remove it"):
        own_folder(str(path))
    remove_tmp("/run#0#0")
    assert os.path.lexists(path) == (what != "open")
    assert what != "stranger's" or (path / "kept").exists()
    assert (aside / "kept").exists()


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A TMPDIR in which every user can make folders, as in /tmp."""
    for folder in (*tmp_path.parents[:3], tmp_path):
        folder.chmod(folder.stat().st_mode | 0o111)
    made = tmp_path / "disk"
    made.mkdir()
    made.chmod(0o1777)
    monkeypatch.setenv("TMPDIR", str(made))
    return made


def as_stranger(code: str, *words: str) -> None:
    """Run a piece of Python as another user."""
    subprocess.run(["python3", "-c", code, *words], check=True, user=STRANGER, group=STRANGER, timeout=60)


def run_in(store: Path, secret: str) -> str:
    run = store / "runs" / "mnist" / "1"
    run.mkdir(parents=True)
    (store / "store.json").write_text(json.dumps({"schema": 1, "id": secret}))
    return str(run)


def test_names_cannot_be_guessed_and_are_found_again_from_the_runs_folder(tmp_path: Path) -> None:
    run = run_in(tmp_path / "store", "0" * 32)
    mark = attempt_mark(run, 0)
    assert mark.startswith(f"{run}#0#")
    assert tmp_name(f"{mark}#1") != tmp_name(f"{run}#0#1")
    plan: dict[str, Any] = {"nodes": 1, "processes_per_node": 1, "processes": [], "mpi": None}
    spec: Any = {"plan": plan}
    assert Commands(run, 0, spec, {}, []).node_mark(1) == f"{mark}#1"
    (tmp_path / "store" / "store.json").write_text(json.dumps({"schema": 1, "id": "1" * 32}))
    other = attempt_mark(run, 0)
    assert other != mark
    assert "1" * 32 not in other  # whoever learns the mark of one attempt does not know the next
    assert (
        local_env.place("/env", "0" * 32)
        != local_env.place("/env", store_id(run))
        != local_env.place("/env", "")
    )


@pytest.mark.parametrize("text", [None, "", "[]", '{"id": 5}'])
def test_a_store_without_an_id_has_the_names_of_before(tmp_path: Path, text: str | None) -> None:
    run = run_in(tmp_path / "store", "")
    (tmp_path / "store" / "store.json").unlink()
    if text is not None:
        (tmp_path / "store" / "store.json").write_text(text)
    assert attempt_mark(run, 2) == f"{run}#2"


def test_a_folder_that_every_user_can_replace_is_refused(disk: Path) -> None:
    own_folder(str(disk / "a"))
    disk.chmod(0o777)
    with pytest.raises(OSError, match=r"every user can replace what is in .*disk; run chmod \+t on it"):
        own_folder(str(disk / "a"))


_TRAP = """
import os, sys
os.mkdir(sys.argv[1])
for name in ("box.json", "owner.json"):
    os.mkfifo(os.path.join(sys.argv[1], name))
"""


@needs_root
def test_nothing_of_another_user_is_opened_in_a_search_for_leftovers(disk: Path) -> None:
    as_stranger(_TRAP, str(disk / f"launcher-{'0' * 12}"))
    as_stranger("import os, sys; os.symlink(*sys.argv[1:])", "/", str(disk / "launcher-env-link"))
    assert list(own_folders()) == []
    code = "from launcher.agent.base import node_leftovers as left; left.sweep_attempt_folders()"
    code += "; left.remove_container_folders(); left.sweep_environments()"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert len(os.listdir(disk)) == 2


@needs_root
@pytest.mark.usefixtures("disk")
def test_another_users_lock_is_not_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    into = local_env.place("/env", "")
    lock = f"{Path(into).parent}.lock"
    as_stranger("import sys; open(sys.argv[1], 'w')", lock)
    with open(lock) as held:  # noqa: PTH123  # its descriptor holds the lock
        fcntl.flock(held, fcntl.LOCK_EX)
        assert (
            local_env.acquire(
                {
                    "archive": "/a",
                    "prefix": "/env",
                    "into": into,
                    "python": "/p",
                    "log": "",
                    "user": "u",
                    "owner": process_identity.identity(),
                }
            )
            == 1
        )
    assert f"{lock} belongs to another user" in capsys.readouterr().err
    assert not Path(into).exists()


_RANK = {"PMIX_RANK": "0", "SLURM_NODEID": "0", "LAUNCHER_MARK": "/run#0#0", "LAUNCHER_METRICS_FOLDER": "."}


@needs_root
@pytest.mark.parametrize("what", ["folder", "link", "open", "job"])
def test_a_rank_of_srun_takes_no_folder_of_another_user(disk: Path, tmp_path: Path, what: str) -> None:
    own = tmp_path / "own"
    own.mkdir(mode=0o700)
    folder = str(disk / "launcher-a")
    if what == "folder":
        as_stranger("import os, sys; os.mkdir(sys.argv[1], 0o700)", folder)
    elif what == "link":
        as_stranger("import os, sys; os.symlink(*sys.argv[1:])", str(own), folder)
    elif what == "open":
        Path(folder).mkdir()
        Path(folder).chmod(0o770)
    else:
        Path(folder).mkdir(mode=0o700)
        Path(folder, "job").symlink_to(own)
    env = {**os.environ, **_RANK, "LAUNCHER_STEP_TMP": "launcher-a", "TMPDIR": str(disk)}
    env |= dict.fromkeys(("LAUNCHER_PROCESS_LOGS", "LAUNCHER_RANK_ENDS"), str(tmp_path))
    stub = Path(local_env.__file__).parents[1] / "mpi" / "rank.sh"
    done = subprocess.run(["sh", stub, "true"], env=env, check=False, capture_output=True, text=True)
    assert done.returncode == 71
    assert "is not a private folder of this user; remove it" in done.stderr
    assert not (tmp_path / "worker-0.log").exists()


def test_a_rank_of_srun_makes_its_folder_and_takes_it_again(disk: Path, tmp_path: Path) -> None:
    disk.chmod(0o3777)  # what is made in it gets its group
    env = {**os.environ, **_RANK, "LAUNCHER_STEP_TMP": "launcher-a", "TMPDIR": str(disk)}
    env |= dict.fromkeys(("LAUNCHER_PROCESS_LOGS", "LAUNCHER_RANK_ENDS"), str(tmp_path))
    stub = Path(local_env.__file__).parents[1] / "mpi" / "rank.sh"
    for _ in range(2):
        subprocess.run(["sh", stub, "sh", "-c", 'echo "$TMPDIR"'], env=env, check=True, timeout=60)
    assert (tmp_path / "worker-0.log").read_text() == f"{disk}/launcher-a/job\n" * 2
    assert stat.S_IMODE((disk / "launcher-a").stat().st_mode) & 0o777 == 0o700
