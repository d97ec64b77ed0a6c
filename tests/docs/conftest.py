"""What the pages show, and a small store to show it with."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from launcher.__main__ import main

REPOSITORY = Path(__file__).parents[2]
PAGES = (*sorted(REPOSITORY.glob("*.md")), *sorted((REPOSITORY / "docs").rglob("*.md")))
NAMES = [str(page.relative_to(REPOSITORY)) for page in PAGES]

SCRIPT = """\
import json, os, pathlib, sys
print(*(name for name in sorted(os.environ) if name.startswith("LAUNCHER_")))
pathlib.Path("outputs/model").mkdir(parents=True, exist_ok=True)
pathlib.Path("outputs/model/weights.json").write_text("[1]")
with open(os.environ["LAUNCHER_METRICS"], "a") as file:
    file.write(json.dumps({"name": "loss", "value": 0.5, "step": 1}) + "\\n")
sys.exit("--fail-once" in sys.argv and os.environ["LAUNCHER_ATTEMPT"] == "0")
"""
RUNS: tuple[list[str], ...] = (
    ["tags.team=vision"],
    ["distribution=torch", "nodes=2"],
    [],
    ["args.fail-once=true", "retries=1"],
)
"""Further words of mnist/1, mnist/2, …"""
SWEEP = ["-m", "tags.team=vision,speech"]
"""And of a sweep of two."""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page: its language, the words after it, its text."""

    page: str
    line: int
    language: str
    words: tuple[str, ...]
    text: str

    def commands(self) -> list[str]:
        """Return the lines."""
        return [line for line in self.text.splitlines() if line.strip()]


def blocks(page: str) -> list[Block]:
    """Return the fenced blocks of a page."""
    text = (REPOSITORY / page).read_text("utf-8")
    found: list[Block] = []
    for match in re.finditer(r"^```(\S*)([^\n]*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        line = text.count("\n", 0, match.start()) + 1
        found.append(Block(page, line, match[1], tuple(match[2].split()), match[3]))
    return found


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep indexes and environments out of the user's cache, and colours out of help."""
    monkeypatch.setenv("LAUNCHER_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("LAUNCHER_STORE", raising=False)


@pytest.fixture(scope="session")
def filled_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store with the runs that the pages speak of; not to be written."""
    root = tmp_path_factory.mktemp("docs")
    (root / "src").mkdir()
    (root / "src" / "show.py").write_text(SCRIPT)
    fixed = ["framework=python", "data=none", "script=show.py", f"source={root / 'src'}"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAUNCHER_CACHE", str(root / "cache"))
        patch.chdir(root)
        for words in RUNS:
            assert main([*fixed, *words, f"store={root / 'store'}"]) == 0, words
        assert main([*fixed, *SWEEP, f"store={root / 'store'}"]) == 0
    return root / "store"


@pytest.fixture
def store(filled_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of the filled store, which is what LAUNCHER_STORE names."""
    copy = tmp_path / "store"
    shutil.copytree(filled_store, copy, symlinks=True)
    monkeypatch.setenv("LAUNCHER_STORE", str(copy))
    return copy
