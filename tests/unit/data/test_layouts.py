"""MNIST's four files as torchvision, Keras and Azure ML's examples look for them."""

from __future__ import annotations

import gzip
import os
import struct
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from launcher.data import Inputs
from launcher.errors import LauncherError


class Silent:
    """Hears of no progress."""

    def step(self, text: str, done: float | None = None) -> None:
        del text, done


def idx(*shape: int) -> bytes:
    count = 1
    for size in shape:
        count *= size
    head = struct.pack(f">4B{len(shape)}I", 0, 0, 8, len(shape), *shape)
    return head + bytes(place % 251 for place in range(count))


FILES = {
    "train-images-idx3-ubyte": idx(6, 28, 28),
    "train-labels-idx1-ubyte": idx(6),
    "t10k-images-idx3-ubyte": idx(2, 28, 28),
    "t10k-labels-idx1-ubyte": idx(2),
}


@pytest.fixture(params=["plain", "gzipped"])
def mnist(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    folder = tmp_path / "mnist"
    folder.mkdir()
    for name, content in FILES.items():
        if request.param == "plain":
            (folder / name.replace("-idx", ".idx")).write_bytes(content)
        else:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
    return folder


def brought(mnist: Path, cache: Path, layout: str) -> Path:
    inputs = Inputs(inputs={"mnist": {"uri": str(mnist), "layout": layout}})
    return Path(inputs.prepare(cache, Silent())["mnist"])


def test_torchvision(mnist: Path, tmp_path: Path) -> None:
    root = brought(mnist, tmp_path / "cache", "torchvision")
    # as torchvision.datasets.MNIST._check_exists and read_image_file (0.28)
    raw = root / "MNIST" / "raw"
    assert all((raw / name).is_file() for name in FILES)
    for name, content in FILES.items():
        data = (raw / name).read_bytes()
        magic = int.from_bytes(data[:4], "big")
        sizes = [int.from_bytes(data[4 * (i + 1) : 4 * (i + 2)], "big") for i in range(magic % 256)]
        assert (magic // 256, sizes[0]) == (8, 6 if "train" in name else 2)
        assert data == content


def test_azure(mnist: Path, tmp_path: Path) -> None:
    folder = brought(mnist, tmp_path / "cache", "azure")
    names = ["test-images.gz", "test-labels.gz", "train-images.gz", "train-labels.gz"]
    assert sorted(os.listdir(folder)) == names
    with gzip.open(folder / "test-images.gz") as file:  # as Azure ML's utils.load_data
        assert struct.unpack("I", file.read(4))[0] == 0x03080000
        assert struct.unpack(">3I", file.read(12)) == (2, 28, 28)
    assert gzip.decompress((folder / "train-labels.gz").read_bytes()) == FILES["train-labels-idx1-ubyte"]


def test_keras(mnist: Path, tmp_path: Path) -> None:
    numpy = pytest.importorskip("numpy")
    folder = brought(mnist, tmp_path / "cache", "keras")
    for path in (folder / "mnist.npz", folder / "datasets" / "mnist.npz"):
        with numpy.load(path, allow_pickle=True) as found:  # as keras.datasets.mnist.load_data
            shapes = [found[name].shape for name in ("x_train", "y_train", "x_test", "y_test")]
            assert shapes == [(6, 28, 28), (6,), (2, 28, 28), (2,)]
            assert found["x_train"].dtype == numpy.uint8
            assert found["x_train"].tobytes() == FILES["train-images-idx3-ubyte"][16:]


def test_an_npz_is_read_without_numpy_too(mnist: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(brought(mnist, tmp_path / "cache", "keras") / "mnist.npz") as archive:
        assert archive.namelist() == ["x_train.npy", "y_train.npy", "x_test.npy", "y_test.npy"]
        labels = archive.read("y_test.npy")
    length = struct.unpack("<H", labels[8:10])[0]
    assert (labels[:8], (10 + length) % 64) == (b"\x93NUMPY\x01\x00", 0)
    assert b"'shape': (2,)" in labels[10 : 10 + length]
    assert labels[10 + length :] == bytes([0, 1])


def test_it_is_made_once_and_again_for_other_files(mnist: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = brought(mnist, cache, "torchvision")
    made = (first / "MNIST" / "raw" / "train-labels-idx1-ubyte").stat()
    assert brought(mnist, cache, "torchvision") == first
    assert (first / "MNIST" / "raw" / "train-labels-idx1-ubyte").stat() == made
    [labels] = mnist.glob("train-labels*")
    content = idx(7)
    labels.write_bytes(gzip.compress(content) if labels.suffix == ".gz" else content)
    assert brought(mnist, cache, "torchvision") != first


def test_what_cannot_be_laid_out(mnist: Path, tmp_path: Path) -> None:
    [labels] = mnist.glob("t10k-labels*")
    labels.write_bytes(b"\x1f\x8bdamaged")
    with pytest.raises(LauncherError, match=r"data.inputs.mnist.layout: .*t10k-labels.* is damaged"):
        brought(mnist, tmp_path / "cache", "keras")
    labels.write_bytes(b"no idx")
    with pytest.raises(LauncherError, match="is no idx file of unsigned bytes"):
        brought(mnist, tmp_path / "cache", "keras")
    labels.unlink()
    with pytest.raises(
        LauncherError, match=r"data.inputs.mnist.layout: .* has none of t10k-labels-idx1-ubyte"
    ):
        brought(mnist, tmp_path / "cache", "keras")
    assert list((tmp_path / "cache").glob("data/*")) == []
    anything: Any = SimpleNamespace(source=tmp_path)
    given = Inputs(inputs={"m": {"uri": str(tmp_path), "layout": "kera"}})
    (problem,) = given.check(anything, anything)
    assert str(problem) == (
        "data.inputs.m.layout: got 'kera'; expected one of keras, torchvision, azure. Did you mean keras?"
    )
