"""Pages and their fenced blocks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
PAGES = (*sorted(REPOSITORY.glob("*.md")), *sorted((REPOSITORY / "docs").rglob("*.md")))
NAMES = [str(page.relative_to(REPOSITORY)) for page in PAGES]
ON_AN_ENGINE = "docs/docker.md"
ON_A_CLUSTER = ("docs/slurm.md", "docs/hydra-apps.md", "docs/from-hydra-submitit-launcher.md")
WITH_ENVIRONMENTS = ("docs/getting-started.md", "README.md", "docs/your-script.md", "docs/configuration.md")
"""Pages that build environments and train: a file of their own, for a worker of its own."""

_LINES_THAT_VARY = (
    (re.compile(r"\b\d+ (?:h|min) \d\d (?:min|s)\b"), "N s"),
    (re.compile(r"\d+(?:\.\d+)?(?= (?:s|ms|min|KiB|MiB|GiB)\b)"), "N"),
    (re.compile(r"\b[0-9a-f]{12}(?:[0-9a-f]{8})?\b"), "ID"),
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d"), "DATE"),
    (re.compile(r"[ \t]+"), " "),
    (re.compile(r"^\[ ", re.MULTILINE), "["),
)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page: its language, the words after it, its text."""

    page: str
    line: int
    language: str
    words: tuple[str, ...]
    text: str

    @property
    def where(self) -> str:
        """Return page and line, for messages."""
        return f"{self.page}:{self.line}"

    @property
    def path(self) -> str | None:
        """Return the file that the block is, or None."""
        head = "\n".join(self.text.splitlines()[:2])
        found = re.search(r"^# (\S+\.(?:yaml|py|toml))$", head, re.MULTILINE)
        return found[1] if found and self.language in {"yaml", "python", "toml"} else None

    @property
    def needs(self) -> str | None:
        """Return what a machine has to have for it, or None."""
        return next((word.removeprefix("needs-") for word in self.words if word.startswith("needs-")), None)

    def value(self, name: str) -> str | None:
        """Return the value of a word `name=value`, or None."""
        return next((word.partition("=")[2] for word in self.words if word.startswith(f"{name}=")), None)

    def commands(self) -> list[str]:
        """Return the lines."""
        return [line for line in self.text.splitlines() if line.strip()]

    def runs_on(self, page: str) -> bool:
        """Return whether a block of `page` has each line of this one."""
        there = {line for block in blocks(page) if not block.value("as-in") for line in block.commands()}
        return there >= set(self.commands())


def blocks(page: str) -> list[Block]:
    """Return the fenced blocks of a page."""
    text = (REPOSITORY / page).read_text("utf-8")
    found: list[Block] = []
    for match in re.finditer(r"^```(\S*)([^\n]*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        words = tuple(match[2].split())
        found.append(Block(page, text.count("\n", 0, match.start()) + 1, match[1], words, match[3]))
    return found


def same_form(shown: str, printed: str) -> bool:
    """Return whether a program printed what a page shows, but for what varies."""
    for pattern, form in _LINES_THAT_VARY:
        shown, printed = pattern.sub(form, shown), pattern.sub(form, printed)
    lines = [re.escape(line.rstrip()).replace("…", ".*") for line in shown.strip().splitlines()]
    pattern = "".join(r"(?:.*\n)*?" if line == ".*" else f"{line}\n" for line in lines)
    actual = "".join(f"{line.rstrip()}\n" for line in printed.strip().splitlines())
    return re.fullmatch(pattern, actual) is not None
