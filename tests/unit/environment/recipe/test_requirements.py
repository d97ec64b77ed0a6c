"""Requirement files: what they ask for, with every path counted from the file that names it."""

from __future__ import annotations

from pathlib import Path

import pytest

from launcher.environment.recipe.requirements import absolute, local_package, packages, read


def put_package(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pyproject.toml").write_text("[project]\n")
    return folder


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ("./pkgx", "/base/pkgx"),
        (".", "/base"),
        ("../pkgx[a,b]", "/pkgx[a,b]"),
        ("sub/pkgx ; python_version > '3'", "/base/sub/pkgx ; python_version > '3'"),
        ("./x.whl --hash=sha256:00", "/base/x.whl --hash=sha256:00"),
        ("x-1.tar.gz", "/base/x-1.tar.gz"),
        ("/a/b.whl", "/a/b.whl"),
        ("file:./pkgx", "/base/pkgx"),
        ("file:///a/b%20c", "file:///a/b%20c"),
        ("file://localhost/a/b#subdirectory=c", "/a/b#subdirectory=c"),
        ("name @ file:pkgx", "name @ file:///base/pkgx"),
        ("name[a] @ ./pkgx", "name[a] @ file:///base/pkgx"),
        ("./a b", "file:///base/a%20b"),
    ],
)
def test_a_path_counts_from_the_folder(given: str, line: str) -> None:
    assert absolute(given, Path("/base")) == line
    assert absolute(line, Path("/elsewhere")) == line


@pytest.mark.parametrize(
    "line",
    ["six", "six>=1; python_version>'3'", "a[b] == 1", "git+https://x/y.git", "a @ https://x/y.whl", "https://x/y.whl"],
)  # fmt: skip
def test_names_and_addresses_stay(line: str) -> None:
    assert absolute(line, Path("/base")) == line
    assert local_package(line, Path("/base")) is None


def test_variables_and_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHERE", "/over")
    monkeypatch.setenv("HOME", "/home/me")
    assert absolute("${WHERE}/pkgx", Path("/base")) == "/over/pkgx"
    assert absolute("./${NONESUCH}/pkgx", Path("/base")) == "file:///base/%24%7BNONESUCH%7D/pkgx"
    assert absolute("~/pkgx", Path("/base")) == "/home/me/pkgx"


def test_a_file_with_all_that_can_be_relative(tmp_path: Path) -> None:
    for name in ("pkgx", "edit", "edit2", "sub/pkgy", "named"):
        put_package(tmp_path / name)
    (tmp_path / "wheels").mkdir()
    (tmp_path / "main.txt").write_text(
        "# comment \\\n"
        "six>=1 \\\n"
        "  --hash=sha256:00  # why\n"
        "./pkgx\n-e ./edit\n--editable=edit2/\nnamed @ file:named\n"
        "-r sub/more.txt\n-rsub/more.txt\n-c 'limits.txt'\n"
        "--find-links ./wheels\n-f https://x/links\n--extra-index-url=https://x/more\n--no-binary six\n"
        "-r https://x/r.txt\n"
    )
    (tmp_path / "sub" / "more.txt").write_text("./pkgy\n-r ../main.txt\n-c deep.txt\n")
    (tmp_path / "sub" / "deep.txt").write_text("attrs<22\n")
    (tmp_path / "limits.txt").write_bytes(b"\xef\xbb\xbfsix<2\n-r sub/deep.txt\n")
    found = read([tmp_path / "main.txt"])
    assert found.lines == [
        "six>=1   --hash=sha256:00",
        f"{tmp_path}/pkgx",
        f"{tmp_path}/edit",
        f"{tmp_path}/edit2",
        f"named @ file://{tmp_path}/named",
        f"--find-links {tmp_path}/wheels",
        "-f https://x/links",
        "--extra-index-url=https://x/more",
        "--no-binary six",
        "-r https://x/r.txt",
        f"{tmp_path}/sub/pkgy",
    ]
    assert found.constraints == ["six<2", "attrs<22"]
    assert found.missing == []
    assert found.folders == [tmp_path / "wheels"]
    read_names = [str(path.relative_to(tmp_path)) for path in found.files]
    assert read_names == ["main.txt", "sub/more.txt", "limits.txt", "sub/deep.txt"]
    assert [path.name for path in found.packages()] == ["pkgx", "edit", "edit2", "named", "pkgy"]
    assert list(packages(["six", f"{tmp_path}/pkgx"])) == [tmp_path / "pkgx"]


def test_copies_are_read_as_if_they_lay_where_they_come_from(tmp_path: Path) -> None:
    put_package(tmp_path / "project" / "pkgx")
    copy = tmp_path / "copy"
    folder = copy / str(tmp_path / "project").lstrip("/")
    folder.mkdir(parents=True)
    (folder / "main.txt").write_text(f"./pkgx\n-r {tmp_path}/project/more.txt\n")
    (folder / "more.txt").write_text("six\n")
    found = read([folder / "main.txt"], copy)
    assert found.lines == [f"{tmp_path}/project/pkgx", "six"]
    assert found.files == [folder / "main.txt", folder / "more.txt"]


def test_what_is_missing_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "main.txt").write_text("six\n-r nope.txt\n./pkgx\nx @ file:y.whl\n--find-links=wheels\n")
    found = read([tmp_path / "main.txt", tmp_path / "nonesuch.txt"])
    assert [(item.number, item.given) for item in found.missing] == [
        (2, "-r nope.txt"),
        (3, "./pkgx"),
        (4, "x @ file:y.whl"),
        (5, "--find-links=wheels"),
    ]
    assert str(tmp_path / "pkgx") in found.missing[1].expected
