"""The frozen source of a run: scripts that write into it, as root and as another user."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from launcher.store.runs import read_run

if TYPE_CHECKING:
    from tests.integration.conftest import Lab

READ_ALL = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
"""Whoever owns this checkout, another user reads it."""

UID, GID = 54321, 12345

WRITES = """\
import os, sys
from pathlib import Path
import conf
print('V', conf.V)
for path in (Path('conf.py'), Path('sub/new.py')):
    real = path.resolve()
    try:
        if MODES:
            os.chmod(real.parent, 0o755)
            if real.exists(): os.chmod(real, 0o644)
        real.open('a').write('\\nV = 2\\n')
        print('wrote', path)
    except OSError as error:
        print('refused', path, error.errno in (13, 30))
"""
"""MODES: whether it sets the modes first."""

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="becomes another user")


def prepare(lab: Lab, *, modes: bool) -> None:
    lab.script(f"MODES = {modes}\n{WRITES}")
    lab.script("V = 1\n", "conf.py")
    (lab.source / "sub").mkdir()
    lab.script("", "sub/old.py")


def as_user(lab: Lab, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command as another user who owns everything of this test."""
    for path in (folder, *folder.rglob("*")):
        os.chown(path, UID, GID, follow_symlinks=False)
    for above in folder.parents:
        if "pytest" in str(above):
            above.chmod(above.stat().st_mode | 0o055)
    (folder / "tmp").mkdir(exist_ok=True)
    os.chown(folder / "tmp", UID, GID)
    env = {name: value for name, value in lab.env.items() if not name.startswith("COVERAGE")}
    env |= {"HOME": str(folder), "USER": "somebody", "TMPDIR": str(folder / "tmp")}
    user = ["setpriv", f"--reuid={UID}", f"--regid={GID}", "--clear-groups", *READ_ALL]
    return subprocess.run(
        [*user, *words], cwd=folder, env=env, capture_output=True, text=True, timeout=240, check=False
    )


@pytest.mark.parametrize("modes", [False, True])
@needs_root
def test_root_cannot_write_into_the_frozen_source(lab: Lab, *, modes: bool) -> None:
    prepare(lab, modes=modes)
    done = lab.launch()
    assert done.stdout == "V 1\nrefused conf.py True\nrefused sub/new.py True\n", done.stderr
    assert lab.launch().stdout.startswith("V 1\n")
    assert lab.command("runs", "rerun", "mnist/1").stdout.startswith("V 1\n")


@needs_root
def test_another_user_is_bound_by_the_modes(lab: Lab, tmp_path: Path) -> None:
    prepare(lab, modes=False)
    done = as_user(lab, tmp_path, *lab.line())
    assert done.stdout == "V 1\nrefused conf.py True\nrefused sub/new.py True\n", done.stderr


@needs_root
def test_who_sets_the_modes_first_is_found_out(lab: Lab, tmp_path: Path) -> None:
    """The run reports it, a rerun is refused, and the next launch of the same source restores it."""
    prepare(lab, modes=True)
    done = as_user(lab, tmp_path, *lab.line())
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("V 1\nwrote conf.py\nwrote sub/new.py\n")
    assert "the frozen source was changed during this run: conf.py (changed), sub/new.py (new)" in done.stdout
    rerun = as_user(lab, tmp_path, *lab.line()[:3], "runs", "rerun", "mnist/1")
    assert rerun.returncode == 2
    assert "was changed after it was frozen: conf.py (changed), sub/new.py (new)" in rerun.stderr
    assert not lab.run(2).submit.exists()
    again = as_user(lab, tmp_path, *lab.line())
    assert again.stdout.startswith("V 1\n")
    assert "changed its frozen source, which is restored: conf.py (changed), sub/new.py (new)" in again.stderr


@pytest.mark.parametrize("user", ["root", pytest.param("another", marks=needs_root)])
def test_links_show_what_is_not_frozen(lab: Lab, tmp_path: Path, user: str) -> None:
    (lab.source / "data").mkdir()
    (lab.source / "data" / "images").touch()
    (lab.source / ".gitignore").write_text("data\n")
    lab.script(
        "from pathlib import Path\n"
        "data = Path(__file__).resolve().parent / 'data'\n"
        "print(sorted(path.name for path in data.iterdir()) if data.exists() else 'none')\n"
        "if data.exists(): (data / 'written').touch()\n"
    )

    def launch(*words: str) -> subprocess.CompletedProcess[str]:
        return as_user(lab, tmp_path, *lab.line(*words)) if user == "another" else lab.launch(*words)

    done = launch()
    assert done.stdout == "none\n", done.stderr
    assert "source: ignore rules leave out data/. links=[data] links what" in done.stderr
    done = launch("links=[data]")
    assert done.stdout == "['images']\n", done.stderr
    assert "ignore rules" not in done.stderr
    assert (lab.source / "data" / "written").exists()
    rerun = [*lab.line()[:3], "runs", "rerun", "mnist/2"]
    again = as_user(lab, tmp_path, *rerun) if user == "another" else lab.command(*rerun[3:])
    assert again.stdout == "['images', 'written']\n", again.stderr
    wrong = launch("links=[dat]")
    assert wrong.returncode == 2
    assert "links[0]: got 'dat'; expected a folder or file that exists" in wrong.stderr


def test_an_attempt_does_not_start_from_a_changed_source(lab: Lab) -> None:
    """Whoever changed it: here this test, between two launches."""
    lab.script("import conf; print('V', conf.V)")
    lab.script("V = 1\n", "conf.py")
    assert lab.launch().stdout == "V 1\n"
    path = lab.run(1).source.resolve() / "conf.py"
    path.chmod(0o644)
    path.write_text("V = 2\n")
    done = lab.launch()
    assert (done.returncode, done.stdout) == (1, "")
    cause = read_run(lab.run(2)).cause
    assert cause is not None
    assert cause.kind == "source"
    assert "the frozen source was changed after it was frozen: conf.py (changed)" in cause.message
    assert lab.launch().stdout == "V 1\n"
    assert lab.command("runs", "rerun", "mnist/2").stdout == "V 1\n"
