"""A reader of a page: types each block in the order of the page, in the folder that the page names.

The words after a fence's language say what differs from "run it whole, in the checkout":

| word | meaning |
|---|---|
| `project` | in `myproject`, which a block further up wrote with `launcher init` |
| `app` | in a folder outside of the checkout, empty at first |
| `dry-run=trained` | launches get `dry_run=true`, and arguments are checked; tests/training runs each line |
| `as-in=PAGE` | that page has each of its lines, where they run |
| `needs-X` | without X only composed; `NEEDS` has each reason |
| `exit=N` | the exit code of its last line |
| `output` | of `text`: what the block before it printed |
| `message` | of `text`: an error, whose words must be in the source |
| `tree`, `diagram`, `form` | of `text`: nothing to run |

A block of `yaml`, `python` or `toml` with a path in a comment of its first two lines is written to that
path. Blocks of `console` show lines after `$ ` and what they print. In what a page shows, `…` stands for what
varies; times, sizes, dates and ids are compared by form.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from launcher.cli import COMMANDS
from launcher.config.command_line import parse
from launcher.config.load import Loader, load
from launcher.paths import cache_root

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

from .pages import REPOSITORY, Block, blocks, same_form

LAUNCH = "python -m launcher"
CACHE: Final = cache_root()
"""Of this machine, not of a test."""
LIMIT_S: Final = 300
"""How long a block may take."""
NEEDS: Final = {
    "docker": "a container engine and images: run on the page about containers",
    "slurm": "a cluster: run on the pages about Slurm and Hydra apps",
    "site": "the cluster of a site: rendered by test_slurm_page.py",
    "gpu": "a GPU",
    "registry": "a registry with a password: run on the page about containers",
    "podman": "podman on every node: tests/integration/slurm",
    "python3.7": "an old Python beside this one",
    "torch": "PyTorch with Accelerate or Lightning, 900 MB each: tests/training runs plain PyTorch",
    "conda": "channels of conda: tests/integration has one of its own",
    "optuna": "a sweeper that the tests do not install",
    "root": "root: it changes the machine",
    "suite": "an hour: it is this suite",
}
"""Why a block may be left out: what it needs, and where else that runs."""


def compose(words: list[str]) -> None:
    """Compose a launch that this machine may be unable to run."""
    line = parse([word for word in words if not word.startswith("hydra")])
    if not line.multirun:
        load(line)
        return
    problems: list[Any] = []
    Loader(line, None).parse(problems)
    assert not problems


def checkout(folder: Path) -> Path:
    """Copy the checkout without what git ignores."""
    listed = subprocess.run(
        ["git", "ls-files", "-coz", "--exclude-standard"], cwd=REPOSITORY, capture_output=True, check=True
    )
    for name in filter(None, os.fsdecode(listed.stdout).split("\0")):
        source = REPOSITORY / name
        if source.is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, folder / name)
    return folder


@dataclass
class Reader:
    """Someone with a checkout, who types a page from its top to its end."""

    folder: Path
    variables: Mapping[str, str] = field(default_factory=dict[str, str])
    has: Collection[str] = ()
    """What of `NEEDS` this machine has."""
    names: Mapping[str, str] = field(default_factory=dict[str, str])
    """What a reader types instead of names in the pages, such as that of a registry."""
    outputs: dict[int, str] = field(default_factory=dict[int, str])
    """What each block printed, by its line."""

    def __post_init__(self) -> None:
        """Lay out what a reader has before the page begins."""
        self.checkout = checkout(self.folder / "checkout")
        self.app = self.folder / "app"
        self.app.mkdir()
        path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
        left_out = {"LAUNCHER_STORE", "PYTHONPATH", "VIRTUAL_ENV", "NO_COLOR"}
        here = {name: value for name, value in os.environ.items() if name not in left_out}
        self.env: dict[str, str] = {**here, "PATH": path, **self.variables}
        self.cwd = self.checkout
        self.printed = ""

    def read(self, page: str) -> None:
        """Type all blocks of a page."""
        for block in blocks(page):
            self.type(block)

    def read_what_needs(self, part: str, page: str) -> None:
        """Type the blocks of a page that need a part of the machine, and those that write their project."""
        for block in blocks(page):
            if block.needs == part or block.path is not None or block.text.startswith(f"{LAUNCH} init "):
                self.type(block)

    def write_files_of(self, page: str) -> None:
        """Write the files of a page that this reader has read before."""
        for block in blocks(page):
            if block.path is not None:
                self.type(block)

    def type(self, block: Block) -> None:
        """Type one block."""
        for name, typed in self.names.items():
            block = replace(block, text=block.text.replace(name, typed))
        if block.needs is not None and block.needs not in self.has:
            self._compose(block)
            return
        if block.path is not None:
            file = self._place(block) / block.path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.text)
        self._type(block)

    def _type(self, block: Block) -> None:
        match block.language:
            case "sh":
                self._shell(block)
            case "console":
                self._console(block)
            case "python":
                self._python(block)
            case "text":
                self._text(block)
            case "yaml":
                yaml.safe_load(block.text)
            case "toml":
                tomllib.loads(block.text)
            case "json":
                json.loads(block.text)
            case language:
                raise AssertionError(f"{block.where}: who reads {language!r}?")

    def _place(self, block: Block) -> Path:
        if "project" in block.words:
            project = self.checkout / "myproject"
            assert project.is_dir(), f"{block.where}: no block above it wrote the project"
            return project
        return self.app if "app" in block.words else self.cwd

    def _shell(self, block: Block) -> None:
        source = block.value("as-in")
        if source is not None:
            assert block.runs_on(source), f"{block.where}: {source} does not have these lines"
            return
        text = block.text
        if block.value("dry-run"):
            lines = [self._dry(line, block) for line in block.commands()]
            text = "\n".join(lines)
        self.printed = self._run(text, block)
        self.outputs[block.line] = self.printed
        if block.value("dry-run"):
            self._check_arguments(block)

    def _dry(self, line: str, block: Block) -> str:
        words = shlex.split(line)[3:]
        launches = line.startswith(LAUNCH) and (not words or words[0] not in COMMANDS)
        assert launches, f"{block.where}: {line}: not a launch"
        return line if "dry_run=true" in words else f"{line} dry_run=true"

    def _check_arguments(self, block: Block) -> None:
        """Compare the arguments of a launch that is not run with those of its script."""
        for name in set(re.findall(r"\b(\w+\.py)\b", self.printed)):
            script = self.checkout / "train_scripts" / name
            text = script.read_text("utf-8") if script.is_file() else ""
            if "add_argument" not in text:
                continue
            given = {word.split("=")[0] for word in re.findall(rf"{name}[^\n]*", self.printed)}
            flags = {flag for line in given for flag in re.findall(r"(?<!\S)--[a-z][\w-]*", line)}
            known = dict(re.findall(r'add_argument\("(--[\w-]+)"(.*)', text))
            required = {flag for flag, rest in known.items() if "required=True" in rest}
            assert flags <= set(known), f"{block.where}: {name} has no {', '.join(flags - set(known))}"
            assert required <= flags, f"{block.where}: {name} needs {', '.join(required - flags)}"

    def _run(self, text: str, block: Block) -> str:
        """Run lines in one shell; folder and variables last, as in a reader's."""
        place, state = self._place(block), self.folder / "state"
        tail = f'\nstatus=$?; pwd > "{state}.pwd"; env -0 > "{state}.env"; exit $status\n'
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", f"{text}{tail}"],
            cwd=place, env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, check=False, timeout=LIMIT_S,
        )  # fmt: skip
        expected = int(block.value("exit") or 0)
        assert done.returncode == expected, (
            f"{block.where}: exit code {done.returncode}\n{text}\n{done.stdout}"
        )
        if expected == 0:
            if place == self.cwd:
                self.cwd = Path(Path(f"{state}.pwd").read_text().strip())
            pairs = Path(f"{state}.env").read_text().split("\0")
            self.env = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
        return done.stdout

    def _console(self, block: Block) -> None:
        parts = re.split(r"^\$ (.*)\n", block.text, flags=re.MULTILINE)
        assert parts[0] == "", f"{block.where}: a block of console begins with a line after $"
        for line, shown in zip(parts[1::2], parts[2::2], strict=True):
            self.printed = self._run(line, block)
            assert same_form(shown, self.printed), f"{block.where}: {line} printed\n{self.printed}"

    def _python(self, block: Block) -> None:
        compile(block.text, block.where, "exec")
        if block.path is None:
            file = self.folder / f"block-{block.line}.py"
            file.write_text(block.text)
            metrics = self.folder / "metrics.jsonl"
            line = f"LAUNCHER_METRICS={shlex.quote(str(metrics))} python {shlex.quote(str(file))}"
            self._run(line, block)
            assert json.loads(metrics.read_text().splitlines()[-1])["value"], block.where

    def _text(self, block: Block) -> None:
        kinds = {"output", "message", "tree", "diagram", "form"}
        assert len(kinds & set(block.words)) == 1, f"{block.where}: say which text it is: {sorted(kinds)}"
        if "output" in block.words:
            assert same_form(block.text, self.printed), f"{block.where}: printed was\n{self.printed}"

    def _compose(self, block: Block) -> None:
        """Compose the launches of a block that this machine cannot run."""
        assert block.needs in NEEDS, f"{block.where}: needs-{block.needs} has no reason in NEEDS"
        if block.language != "sh":
            return
        before = Path.cwd()
        os.chdir(self._place(block))
        try:
            for line in block.text.replace("\\\n", " ").splitlines():
                if line.startswith(LAUNCH):
                    words = shlex.split(line)[3:]
                    if not words or words[0] not in COMMANDS or words[:2] == ["env", "build"]:
                        compose([word for word in words if word not in {"env", "build"}])
        finally:
            os.chdir(before)
