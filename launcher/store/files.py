"""Files that a run left, under the names that they have in its folder: `outputs/model/weights`."""

from __future__ import annotations

import os
import shutil
import stat
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.errors import LauncherError, NotFoundError, StoreError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.paths import RunFolder

PARTS = ("outputs", "logs", "metrics")
RECORDS = ("config.yaml", "spec.json", "submit.json", "manifest.json", "end.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFile:
    """One file of a run."""

    name: str
    path: Path
    size: int
    modified: float
    """Seconds since the epoch."""
    link: str | None = None
    """Where a link leads that leaves the run. Nothing of it is read: a script may have linked any file."""

    @property
    def text(self) -> str:
        """The name, and where a link leads."""
        return self.name if self.link is None else f"{self.name} -> {self.link}"


def list_files(folder: RunFolder, prefix: str = "") -> list[RunFile]:
    """Return the files of a run whose names are `prefix` or lie in the folder of that name."""
    prefix = prefix.strip("/")
    found = [file for part in PARTS for file in _walk(folder.root, part)]
    found += [file for file in (_file(folder.root, name) for name in RECORDS) if file is not None]
    return sorted(
        (file for file in found if not prefix or file.name == prefix or file.name.startswith(f"{prefix}/")),
        key=lambda file: file.name,
    )


def download(folder: RunFolder, prefix: str, destination: Path, *, force: bool = False) -> list[Path]:
    """Copy files of a run to a folder and return the copies.

    As on Azure, one file that is named goes into the folder itself, what has a prefix keeps its names.

    Raises:
        NotFoundError: no file has that name or prefix.
        StoreError: a file is there already and nothing was copied, which `force` allows.
        LauncherError: a file cannot be copied.
    """
    listed = list_files(folder, prefix)
    files = [file for file in listed if file.link is None]
    if listed and not files:
        links = ", ".join(f"{file.name} -> {file.link}" for file in listed[:3])
        raise StoreError(
            f"{folder.id}: {links}: leads out of the run, which is not followed. Copy it yourself"
        )
    if not files:
        names = sorted({part for file in list_files(folder) for part in _prefixes(file.name)})
        hint = nearest(prefix, names) or f"See `python -m launcher runs files {folder.id}`"
        raise NotFoundError(f"{folder.id}: it has no file {prefix!r}. {hint}")
    one = len(files) == 1 and files[0].name == prefix.strip("/")
    pairs = [(file.path, destination / (file.path.name if one else file.name)) for file in files]
    taken = [str(target) for _, target in pairs if target.is_dir() or (target.exists() and not force)]
    if taken:
        more = f" and {len(taken) - 3} more" if len(taken) > 3 else ""  # noqa: PLR2004  # as many as are read
        raise StoreError(
            f"{', '.join(taken[:3])}{more}: already there. Choose another folder with -o DIR, or add --force"
        )
    for source, target in pairs:
        try:
            _copy(source, target)
        except OSError as error:
            raise LauncherError(
                f"{target}: cannot be written: {error.strerror} ({error.filename})"
            ) from error
    return [target for _, target in pairs]


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{uuid.uuid4().hex}")
    try:
        shutil.copy2(source, draft)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def _walk(root: Path, part: str) -> Iterator[RunFile]:
    # While an attempt runs, `outputs` leads into its working folder.
    if (root / part).is_symlink() and not (root / part).resolve().is_relative_to(root.resolve()):
        top = _file(root, part)
        if top is not None:
            yield top
        return
    for place, folders, names in os.walk(root / part):
        for name in (*names, *folders):
            file = _file(root, os.path.relpath(Path(place, name), root))
            if file is not None:
                yield file


def _file(root: Path, name: str) -> RunFile | None:
    """Return a regular file, also through a link within the run, or a link that leaves the run.

    A broken link or a FIFO is no file to copy.
    """
    path = root / name
    try:
        found = path.stat()
        if path.is_symlink() and not path.resolve().is_relative_to(root.resolve()):
            return RunFile(name=name, path=path, size=0, modified=found.st_mtime, link=str(path.readlink()))
    except OSError:
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    return RunFile(name=name, path=path, size=found.st_size, modified=found.st_mtime)


def _prefixes(name: str) -> Iterator[str]:
    parts = name.split("/")
    yield from ("/".join(parts[:count]) for count in range(1, len(parts) + 1))
