"""The four MNIST files under the names and in the forms that scripts look for, made once in the cache."""

from __future__ import annotations

import gzip
import os
import shutil
import struct
import zipfile
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from launcher.errors import LauncherError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_PARTS: Final = ("train", "t10k")
_KINDS: Final = {"images": "idx3", "labels": "idx1"}
_GZIP: Final = b"\x1f\x8b"
_BYTES: Final = 8  # an idx file's code for unsigned bytes


def names(part: str, kind: str) -> tuple[str, ...]:
    """Return the names that one of the four files goes by."""
    return tuple(f"{part}-{kind}{dot}{_KINDS[kind]}-ubyte{ending}" for dot in "-." for ending in ("", ".gz"))


def four_files(folder: Path) -> dict[tuple[str, str], Path]:
    """Return the four files, by part and kind.

    Raises:
        LauncherError: one is missing.
    """
    found: dict[tuple[str, str], Path] = {}
    for part in _PARTS:
        for kind in _KINDS:
            path = next((folder / name for name in names(part, kind) if (folder / name).is_file()), None)
            if path is None:
                raise LauncherError(f"{folder} has none of {', '.join(names(part, kind))}")
            found[part, kind] = path
    return found


def mark(folder: Path, layout: str) -> str:
    """Return a hash that changes with the files and the layout."""
    signs = [
        (str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in four_files(folder).values()
    ]
    return sha256(repr((layout, signs)).encode()).hexdigest()[:16]


def make_keras(files: dict[tuple[str, str], Path], draft: Path) -> None:
    """Write `mnist.npz`, also as `datasets/mnist.npz`, which is where KERAS_HOME has it."""
    (draft / "datasets").mkdir(parents=True)
    path = draft / "mnist.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for part, name in zip(_PARTS, ("train", "test"), strict=True):
            for kind, letter in zip(_KINDS, "xy", strict=True):
                entry = zipfile.ZipInfo(f"{letter}_{name}.npy")  # the same date in each
                entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry, _npy(_plain(files[part, kind]), files[part, kind]))
    os.link(path, draft / "datasets" / "mnist.npz")


def make_torchvision(files: dict[tuple[str, str], Path], draft: Path) -> None:
    """Write `MNIST/raw/` with the plain files, below the folder that is torchvision's `root`."""
    raw = draft / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for (part, kind), path in files.items():
        target = raw / f"{part}-{kind}-{_KINDS[kind]}-ubyte"
        if _is_gzipped(path):
            target.write_bytes(_plain(path))
        else:
            _link(path, target)


def make_azure(files: dict[tuple[str, str], Path], draft: Path) -> None:
    """Write `train-images.gz` and the like, as Azure ML's examples read them."""
    draft.mkdir(parents=True)
    for (part, kind), path in files.items():
        target = draft / f"{'train' if part == 'train' else 'test'}-{kind}.gz"
        if _is_gzipped(path):
            _link(path, target)
        else:
            target.write_bytes(gzip.compress(path.read_bytes(), mtime=0))


MAKERS: Final[dict[str, Callable[[dict[tuple[str, str], Path], Path], None]]] = {
    "keras": make_keras,
    "torchvision": make_torchvision,
    "azure": make_azure,
}
"""By the name of a layout, what makes its folder."""


def _is_gzipped(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_GZIP)) == _GZIP


def _plain(path: Path) -> bytes:
    """Return the content of a file, unpacked.

    Raises:
        LauncherError: it is damaged.
    """
    content = path.read_bytes()
    if not content.startswith(_GZIP):
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError) as error:
        raise LauncherError(f"{path} is damaged: {error}") from error


def _npy(idx: bytes, path: Path) -> bytes:
    """Return an idx file of unsigned bytes as an npy file, version 1.0 (NumPy's NEP 1).

    Raises:
        LauncherError: it is no such file.
    """
    shape = tuple(_shape(idx))
    count = 1
    for size in shape:
        count *= size
    content = idx[4 + 4 * len(shape) :]
    if not shape or len(content) != count:
        raise LauncherError(f"{path} is no idx file of unsigned bytes")
    header = repr({"descr": "|u1", "fortran_order": False, "shape": shape})
    header += " " * (-(len(header) + 11) % 64) + "\n"  # 10 bytes before it, and the end of the line
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode("ascii") + content


def _shape(idx: bytes) -> Iterator[int]:
    if len(idx) < 4 or idx[:3] != bytes((0, 0, _BYTES)) or len(idx) < 4 + 4 * idx[3]:  # noqa: PLR2004  # its head
        return
    yield from struct.unpack(f">{idx[3]}I", idx[4 : 4 + 4 * idx[3]])


def _link(path: Path, target: Path) -> None:
    """Give a file another name, or copy it where that cannot be."""
    try:
        os.link(path, target)
    except OSError:  # another disk
        shutil.copyfile(path, target)
