"""Folders on a disk where other users can write: made by this user alone, or refused."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from launcher.agent.node import remove_tmp
from launcher.agent.tmp import is_own, own_folder, tmp_folder

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
