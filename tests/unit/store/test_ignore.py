import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launcher.store.ignore import Chain, first_chain, parse_line
from launcher.store.tree import Tree, scan

NAMES = (
    "a",
    "b",
    "ab",
    "foo",
    "foo.py",
    "x.d",
    "#a",
    "!b",
    " c",
    "c ",
    "[a]",
    "a*",
    "é",
    "-",
    "A\\b",
    "\t",
    "1",
)
ATOMS = (
    *"ab1*?/\\-!#^[].: ",
    "foo",
    "**",
    "/",
    "/",
    "[ab]",
    "[!a]",
    "[^b]",
    "[a-c]",
    "[]a]",
    "*.py",
    "x",
    "é",
    "\t",
)
IDIOMS = [
    "*",
    "!*/",
    "!*.py",
    "foo/",
    "/foo",
    "/*",
    "!/foo",
    "foo/*",
    "foo/**",
    "!foo/a",
    "**/a",
    "a/**/b",
    "**/",
]
LINES = st.one_of(
    st.lists(st.sampled_from(ATOMS), min_size=1, max_size=6).map("".join), st.sampled_from(IDIOMS)
)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("repository")
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    for number, name in enumerate(NAMES):
        if number % 2:
            (root / name).write_text("")
            continue
        for inner, below in enumerate(NAMES[number : number + 7]):
            place = root / name / below
            if inner % 3:
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_text("")
            else:
                place.mkdir(parents=True)
                (place / "a").write_text("")
                (place / "foo.py").write_text("")
    return root


def kept(root: Path) -> set[str]:
    tree = scan(root, Tree())
    return {*tree.files, *(path.rstrip("/") for path in tree.folders if path)}


def kept_by_git(root: Path) -> set[str]:
    everything = [
        os.path.relpath(Path(place, name), root)
        for place, folders, files in os.walk(root)
        for name in [*folders, *files]
    ]
    everything = [path for path in everything if path.split("/")[0] != ".git"]
    answer = subprocess.run(
        ["git", "-C", str(root), "check-ignore", "--no-index", "-z", "--stdin"],
        input=b"\0".join(os.fsencode(path) for path in everything),
        capture_output=True,
        check=False,
    )
    return set(everything) - {os.fsdecode(path) for path in answer.stdout.split(b"\0")}


@settings(max_examples=300, deadline=None, derandomize=True)
@given(top=st.lists(LINES, max_size=5), below=st.lists(LINES, max_size=3), folder=st.sampled_from(NAMES[::2]))
def test_the_same_is_ignored_as_by_git(
    repository: Path, top: list[str], below: list[str], folder: str
) -> None:
    nested = repository / folder / ".gitignore"
    (repository / ".gitignore").write_text("\n".join(top))
    nested.write_text("\n".join(below))
    try:
        assert kept(repository) == kept_by_git(repository)
    finally:
        nested.unlink()


@pytest.mark.parametrize("line", ["", "   ", "# comment", "/", "!", "foo[", "foo\\", "[b-a]", "[[:alpha:]]"])
def test_lines_that_match_nothing(line: str) -> None:
    assert parse_line(line) is None


def test_bytes_marks_and_line_ends_are_read_as_git_reads_them() -> None:
    chain = Chain(None, "", b"\xef\xbb\xbf*.tmp\r\n caf\xe9 \n")
    assert chain.ignores("a/b.tmp", folder=False)
    assert chain.ignores(os.fsdecode(b" caf\xe9"), folder=False)
    assert not chain.ignores("b.tmpx", folder=False)


def test_rules_above_the_source_count_up_to_the_repository(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / ".gitignore").write_text("*.pt\n/src/private\n/private\n")
    source = tmp_path / "src"
    source.mkdir()
    for name in ("train.py", "model.pt", "private", "keep.pt"):
        (source / name).write_text("")
    (source / ".gitignore").write_text("!keep.pt\n")
    assert set(scan(source, Tree()).files) == {".gitignore", "keep.pt", "train.py"}


def test_launcherignore_replaces_every_gitignore(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in (".gitignore", "sub/.gitignore"):
        (tmp_path / name).write_text("*.py\n")
    (tmp_path / ".launcherignore").write_text("*.log\n.*\n")
    (tmp_path / "sub" / "a.py").write_text("")
    (tmp_path / "sub" / "a.log").write_text("")
    assert set(scan(tmp_path, Tree()).files) == {"sub/a.py"}
    assert first_chain(tmp_path) == (".launcherignore", None)


def test_what_is_known_is_not_asked_again_until_a_rule_changes(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("*.log\n")
    for name in ("a.log", "a.py"):
        (tmp_path / name).write_text("")
    first = scan(tmp_path, Tree())
    assert set(first.files) == {".gitignore", "a.py"}
    (tmp_path / "b.log").write_text("")
    second = scan(tmp_path, first)
    assert set(second.files) == {".gitignore", "a.py"}
    assert second.folders[""][1] == {"a.log", "b.log"}
    (tmp_path / ".gitignore").write_text("*.py\n")
    assert set(scan(tmp_path, second).files) == {".gitignore", "a.log", "b.log"}


def test_a_file_that_becomes_a_folder_is_asked_about_again(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("out/\n")
    (tmp_path / "out").write_text("")
    first = scan(tmp_path, Tree())
    assert "out" in first.files
    (tmp_path / "out").unlink()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "x").write_text("")
    assert set(scan(tmp_path, first).files) == {".gitignore"}
