"""What root does for the tests of clusters and engines in folders where every user can write."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.processes import Processes
from tests.sessions import claimed_root

STRANGER = 65533


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")
@pytest.mark.parametrize("what", ["root", "records", "link"])
def test_records_of_another_user_are_not_believed(tmp_path: Path, what: str) -> None:
    records = tmp_path / "cluster" / "pids"
    if what == "link":
        (tmp_path / "cluster").mkdir()
        (tmp_path / "kept").mkdir()
        records.symlink_to(tmp_path / "kept")
    else:
        records.mkdir(parents=True)
        os.chown(records if what == "records" else records.parent, STRANGER, STRANGER)
    with pytest.raises(PermissionError, match="belongs to another user: name another folder with --state"):
        Processes(records, tmp_path / "log")


def test_a_link_in_place_of_a_lock_is_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("kept")
    (tmp_path / "cluster-test0.lock").symlink_to(precious)
    with pytest.raises(OSError, match="symbolic links"), claimed_root(tmp_path / "cluster"):
        pass
    assert precious.read_text() == "kept"


def test_two_sessions_have_folders_of_their_own(tmp_path: Path) -> None:
    with claimed_root(tmp_path / "a") as one, claimed_root(tmp_path / "a") as other:
        assert (one.name, other.name) == ("a-test0", "a-test1")
