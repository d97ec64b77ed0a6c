"""Every page works as a reader types it: each block, in the page's order, in the folder that the page names.

`reader.py` has the words of the fences. Trainings that tests/training runs anyway are dry runs here.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from launcher.paths import cache_root
from tests.engine.images import BASE, MPI

from .pages import NAMES, REPOSITORY, Block, blocks, same_form
from .reader import NEEDS, Reader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cluster.machine import Cluster
    from tests.engine.machine import Engine

ON_AN_ENGINE = "docs/docker.md"
ON_A_CLUSTER = ("docs/slurm.md", "docs/hydra-apps.md", "docs/from-hydra-submitit-launcher.md")
HERE = [name for name in NAMES if name not in {ON_AN_ENGINE, *ON_A_CLUSTER} and blocks(name)]
OWN_CACHE = {"docs/environments.md": "it prunes", "docs/getting-started.md": "it shows a first run"}
"""Pages that have a cache of their own, and why; the others share the environments of this machine."""
CACHE = cache_root()
"""Of this machine, not of a test."""
IMAGES = {"python:3.11-slim-bookworm": BASE, "registry.example.org/vision/train:7": MPI}
"""What the page about containers names, and what stands for it here."""
SLOW = {"README.md", "docs/getting-started.md", "docs/runs.md", "docs/your-script.md"}
LEFT_OUT = 40
"""How many blocks no test runs whole, at most: those with `dry-run=…`, or `needs-…` where that is missing."""


def cache_for(page: str, folder: Path) -> dict[str, str]:
    return {"LAUNCHER_CACHE": str(folder / "cache" if page in OWN_CACHE else CACHE)}


@pytest.mark.parametrize(
    "page", [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in HERE]
)
def test_a_page_works(page: str, tmp_path: Path) -> None:
    Reader(tmp_path, cache_for(page, tmp_path)).read(page)


@pytest.mark.slow
@pytest.mark.parametrize("page", ON_A_CLUSTER)
def test_a_page_works_on_a_cluster(page: str, tmp_path: Path, cluster: Cluster) -> None:
    reader = Reader(tmp_path, cluster.variables, has={"slurm"})
    if page == "docs/from-hydra-submitit-launcher.md":
        reader.write_files_of("docs/hydra-apps.md")
    reader.read(page)
    if page == "docs/slurm.md":
        said = "\n".join(reader.outputs.values())
        assert "begins with step 0\n" in said
        assert re.search(r"^begins with step [1-9]", said, re.MULTILINE)


@pytest.fixture
def named_images(engine: Engine) -> Iterator[Engine]:
    """Return an engine with the images of the page."""
    api: Any = engine.client().api
    for name, image in IMAGES.items():
        repository, _, tag = name.rpartition(":")
        api.tag(engine.image(image), repository, tag)
    yield engine
    built = [tag for image in api.images() for tag in image["RepoTags"] or () if tag.startswith("launcher/")]
    for name in (*built, *IMAGES):
        api.remove_image(name, force=True)


@pytest.mark.slow
def test_the_page_about_containers_works_on_an_engine(tmp_path: Path, named_images: Engine) -> None:
    env = {name: value for name, value in named_images.env.items() if name != "PATH"}
    reader = Reader(tmp_path, {**env, "LAUNCHER_CACHE": str(CACHE)}, has={"docker"})
    before = named_images.containers()
    for block in blocks(ON_AN_ENGINE):
        reader.type(block)
        assert named_images.containers() == before, block.where
        assert named_images.networks() == [], block.where
    texts = "\n".join(reader.outputs.values())
    for shown in ("docker run --detach", "Python 3.11", "node0\n", "test_accuracy: 0.9"):
        assert shown in texts, shown


def test_what_is_left_out_is_little_and_has_a_reason() -> None:
    left_out: list[Block] = []
    for name in NAMES:
        runs = {"slurm"} if name in ON_A_CLUSTER else {"docker"} if name == ON_AN_ENGINE else set[str]()
        for block in blocks(name):
            if block.needs is not None:
                assert block.needs in NEEDS, block.where
            dry = block.value("dry-run")
            assert dry in {None, "trained"}, block.where
            if dry is not None or (block.needs is not None and block.needs not in runs):
                left_out.append(block)
    counted = Counter(block.page for block in left_out)
    assert counted.total() <= LEFT_OUT, counted
    used = {block.needs for name in NAMES for block in blocks(name)} - {None}
    assert used == set(NEEDS), "reasons that no block gives"


def test_pages_that_remove_environments_have_a_cache_of_their_own() -> None:
    for name in NAMES:
        typed = "".join(block.text for block in blocks(name) if block.language in {"sh", "console"})
        assert "env prune" not in typed or name in OWN_CACHE


def page(tmp_path: Path, *fences: tuple[str, str]) -> Iterator[Block]:
    for number, (info, text) in enumerate(fences):
        language, *words = info.split()
        yield Block(str(tmp_path), number, language, tuple(words), text)


@pytest.mark.parametrize(
    ("fences", "message"),
    [
        ([("sh", "false\n")], "exit code 1"),
        ([("sh", "python -m launcher runs shw\n")], "exit code 2"),
        ([("sh", "python -m launcher init\n")], "exit code 2"),
        ([("sh project", "true\n")], "no block above it wrote the project"),
        (
            [("sh", "python -m launcher init myproject\n"),
             ("sh project", "python -m launcher experiment=quick args.folder=x\n")],
            "unrecognized arguments: --folder",
        ),
        ([("sh dry-run=trained", "python -m launcher args.folder=x\n")], "tf_mnist.py has no --folder"),
        ([("sh dry-run=trained", "python -m launcher script=tf_mnist.py\n")], "mnist.py needs --data-folder"),
        ([("sh as-in=README.md", "python -m launcher runs lst\n")], "no such block"),
        ([("sh needs-moon", "true\n")], "needs-moon has no reason"),
        ([("console", "$ echo a\nb\n")], "printed\na"),
        ([("sh", "echo a\n"), ("text output", "b\n")], "printed was\na"),
        ([("text", "b\n")], "which text it is"),
        ([("ruby", "b\n")], "who reads 'ruby'"),
    ],
)  # fmt: skip
def test_a_page_that_does_not_work_fails(fences: list[tuple[str, str]], message: str, tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    *before, last = page(tmp_path, *fences)
    for block in before:
        reader.type(block)
    with pytest.raises(AssertionError, match=re.escape(message)):
        reader.type(last)


def test_folder_and_variables_last_from_block_to_block(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    fences = (
        ("sh", "mkdir there && cd there\nexport A='b c'\n"),
        ("yaml", "# conf/x.yaml\na: 1\n"),
        ("console", "$ cat conf/x.yaml; echo $A; basename $PWD\n…\na: 1\nb c\nthere\n"),
    )
    for block in page(tmp_path, *fences):
        reader.type(block)


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("Completed in 3.2 s", "Completed in 12 s", True),
        ("[   3.2 s] x", "[1 min 05 s] x", True),
        ("Completed in 3.2 s", "Failed in 3.2 s", False),
        ("a\n…\nd", "a\nb\nc\nd", True),
        ("a\n…\nd", "a\nb\nc", False),
        ("run …/store", "run /x y/store", True),
        ("a", "a\nb", False),
        ("sweep 87232ef5358e  2 runs", "sweep 0123456789ab 2 runs", True),
        ("lines/1", "lines/2", False),
    ],
)
def test_what_a_page_shows_is_compared(shown: str, printed: str, *, same: bool) -> None:
    assert same_form(shown, printed) == same


def test_the_repository_is_what_readers_get(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    assert (reader.checkout / "README.md").read_bytes() == (REPOSITORY / "README.md").read_bytes()
    assert not (reader.checkout / ".venv").exists()
