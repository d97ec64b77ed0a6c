"""The folder that a run's processes work in: the frozen source, and folders `outputs` and `logs`.

While an attempt runs, `work/<k>/outputs` is the folder itself and `<run>/outputs` a link to it, so that a
script may remove it, make it anew or put something else there. At the end of the attempt whatever is at
`work/<k>/outputs` becomes `<run>/outputs`. The same holds for `logs`. A job of a Hydra app has
`<run>/outputs` as its output folder: there it is the other way round.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat

OWN = ("outputs", "logs")
_UP = os.path.join("..", "..")


def make(run: str, attempt: int, mode: str, app: bool = False) -> str:
    """Make `work/<attempt>` of a run folder and return its path.

    Args:
        run: the run folder.
        attempt: number of the attempt.
        mode: `link` (entries of the shared snapshot, read-only) or `copy` (a private copy).
        app: whether it is a job of a Hydra app.
    """
    os.makedirs(os.path.join(run, "metrics"), exist_ok=True)
    work = os.path.join(run, "work", str(attempt))
    os.makedirs(work, exist_ok=True)
    source = os.path.join(run, "source")
    for entry in os.listdir(source):
        if entry in OWN:
            continue
        target = os.path.join(work, entry)
        if mode == "copy":
            _copy(os.path.join(source, entry), target)
        else:
            os.symlink(os.path.join(_UP, "source", entry), target)
    for name in OWN:
        for earlier in sorted(os.listdir(os.path.dirname(work))):  # of attempts whose agents were killed
            _bring_home(run, os.path.join(run, "work", earlier), name)
        if app:
            os.makedirs(os.path.join(run, name), exist_ok=True)
            os.symlink(os.path.join(_UP, name), os.path.join(work, name))
        else:
            _hand_out(run, work, name)
    return work


def tidy(work: str, keep_paths: bool = False) -> None:
    """Bring `outputs` and `logs` home; remove links, and the folder if the script left nothing else in it.

    Args:
        work: the work folder.
        keep_paths: leave links at `work/<k>/outputs` and `logs`, for paths that the next attempt may read.
    """
    run = os.path.dirname(os.path.dirname(work))
    for name in OWN:
        _bring_home(run, work, name)
    for entry in os.listdir(work):
        path = os.path.join(work, entry)
        if os.path.islink(path) and os.readlink(path).startswith(_UP):
            os.unlink(path)
    for name in OWN if keep_paths else ():
        with contextlib.suppress(FileExistsError):
            os.symlink(os.path.join(_UP, name), os.path.join(work, name))
    for folder in (work, os.path.dirname(work)):
        try:
            os.rmdir(folder)
        except OSError:
            return


def _hand_out(run: str, work: str, name: str) -> None:
    """Move a folder of the run into the work folder, with a link in its place."""
    home, inner = os.path.join(run, name), os.path.join(work, name)
    if os.path.islink(home):  # to where an earlier attempt of the script led it
        os.symlink(_relative(run, os.readlink(home), work), inner)
        os.unlink(home)
    elif os.path.isdir(home):
        os.rename(home, inner)
    else:
        os.mkdir(inner)
    os.symlink(os.path.relpath(inner, run), home)


def _bring_home(run: str, work: str, name: str) -> None:
    """Make what is at `name` in a work folder that of the run."""
    home, inner = os.path.join(run, name), os.path.join(work, name)
    handed_out = os.path.islink(home) and os.readlink(home) == os.path.relpath(inner, run)
    if handed_out:
        os.unlink(home)
    leads_home = os.path.islink(inner) and os.path.normpath(os.path.join(work, os.readlink(inner))) == home
    if leads_home or not os.path.lexists(inner):
        if handed_out:
            os.mkdir(home)
    elif os.path.islink(inner):
        if not os.path.lexists(home):
            os.symlink(_relative(work, os.readlink(inner), run), home)
            os.unlink(inner)
    elif os.path.isdir(inner) and not os.path.lexists(home):
        os.rename(inner, home)
    else:
        _merge(inner, home)


def _merge(inner: str, home: str) -> None:
    """Move a file, or what is in a folder, into the run's folder; nothing is replaced."""
    os.makedirs(home, exist_ok=True)
    folder = os.path.isdir(inner)
    for name in os.listdir(inner) if folder else [os.path.basename(inner)]:
        if not os.path.lexists(os.path.join(home, name)):
            os.rename(os.path.join(inner, name) if folder else inner, os.path.join(home, name))
    if folder:
        with contextlib.suppress(OSError):  # what has the same name stays
            os.rmdir(inner)


def _relative(folder: str, target: str, other: str) -> str:
    """Return the target of a link in `folder` for a link in `other`."""
    return target if os.path.isabs(target) else os.path.relpath(os.path.join(folder, target), other)


def _copy(source: str, target: str) -> None:
    """Copy a file or tree of the read-only snapshot so that the script may change it."""
    if os.path.isdir(source) and not os.path.islink(source):
        shutil.copytree(source, target, symlinks=True)
        for folder, _, names in os.walk(target):
            for path in [folder, *(os.path.join(folder, name) for name in names)]:
                _writable(path)
    else:
        shutil.copy2(source, target, follow_symlinks=False)
        _writable(target)


def _writable(path: str) -> None:
    if not os.path.islink(path):
        os.chmod(path, os.stat(path).st_mode | stat.S_IWUSR)
