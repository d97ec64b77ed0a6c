"""The folder that a run's processes work in: the frozen source, and folders `outputs` and `logs`.

While an attempt runs, `work/<k>/outputs` is the folder itself and `<run>/outputs` a link to it, so that a
script may remove it, make it anew or put something else there. At the end of the attempt whatever is at
`work/<k>/outputs` becomes `<run>/outputs`. The same holds for `logs`. With the key `cwd`, both are in that
sub-folder, with a link to each in `work/<k>`. A job of a Hydra app has `<run>/outputs` as its output folder:
there it is the other way round.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat

from . import links

OWN = ("outputs", "logs")
_UP = os.path.join("..", "..")


def make(  # noqa: PLR0913  # what there is in it
    run: str,
    attempt: int,
    mode: str,
    *,
    app: bool = False,
    cwd: str = "",
    paths: dict[str, str] | None = None,
) -> str:
    """Make `work/<attempt>` of a run folder and return its path.

    Args:
        run: the run folder.
        attempt: number of the attempt.
        mode: `link` (entries of the shared snapshot, read-only) or `copy` (a private copy).
        app: whether it is a job of a Hydra app.
        cwd: sub-folder in which the processes start; what they write there stays out of the source.
        paths: further links, as `links.make` takes them.
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
    links.make(work, paths or {})
    start, *above = _folders(work, cwd)
    for folder in reversed([start, *above]):
        links.own_folder(folder)
    for name in OWN:
        inner = os.path.join(start, name)
        _discard(inner)
        for earlier in sorted(os.listdir(os.path.dirname(work))):  # of attempts whose agents were killed
            _bring_home(run, _folders(os.path.join(run, "work", earlier), cwd)[0], name)
        if app:
            os.makedirs(os.path.join(run, name), exist_ok=True)
            os.symlink(os.path.relpath(os.path.join(run, name), start), inner)
        else:
            _hand_out(run, start, name)
        if cwd:
            os.symlink(os.path.join(cwd, name), os.path.join(work, name))
    return work


def _discard(path: str) -> None:
    """Remove what the source has in the place of a folder of the run."""
    if os.path.islink(path) or os.path.isfile(path):
        os.unlink(path)
    elif os.path.isdir(path):
        shutil.rmtree(path)


def tidy(work: str, cwd: str = "", keep_paths: bool = False) -> None:
    """Bring `outputs` and `logs` home; remove links, and the folders if the script left nothing else in them.

    Args:
        work: the work folder.
        cwd: sub-folder in which the processes started.
        keep_paths: leave links at the paths of `outputs` and `logs`, which the next attempt may read.
    """
    run = os.path.dirname(os.path.dirname(work))
    folders = _folders(work, cwd)
    starts = [folders[0], work] if cwd else [work]
    for name in OWN:
        outer = os.path.join(work, name)
        if cwd and os.path.islink(outer) and os.readlink(outer) == os.path.join(cwd, name):
            os.unlink(outer)
        for folder in starts:
            _bring_home(run, folder, name)
    for folder in folders:
        with contextlib.suppress(OSError):  # the script may have removed it
            links.clear(folder, run)
            for name in OWN if keep_paths and folder in starts else ():
                os.symlink(os.path.relpath(os.path.join(run, name), folder), os.path.join(folder, name))
            os.rmdir(folder)
    with contextlib.suppress(OSError):
        os.rmdir(os.path.dirname(work))


def _folders(work: str, cwd: str) -> list[str]:
    """Return the folder in which the processes start, and those above it up to the work folder."""
    found = [work]
    for part in filter(None, cwd.split(os.sep)):
        found.insert(0, os.path.join(found[0], part))
    return found


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
