"""The pages are true: what they show runs, what they link to is there, what exists is told.

Every line of every `sh` block is run: launches with `dry_run=true`, commands against a small store. Words
after `sh` change that: `project` runs it in a project that `init` wrote, with the files of the page's
`yaml project` blocks, in which a comment is their path; `needs-…` only composes, because not every machine
has what it needs; `app`, `slurm` and `site` are run elsewhere: test_hydra_pages.py, test_slurm_page.py. Lines
with `needs-docker` of the page about containers are run besides, in test_docker_page.py.
"""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from launcher.__main__ import main
from launcher.cli import COMMANDS, compute, env, runs, sweeps
from launcher.config.command_line import parse
from launcher.config.load import Loader, load
from launcher.config.schema import schemas
from launcher.environment.frameworks import RELEASES
from launcher.spec import State
from launcher.store.filters import KEYS

from .conftest import NAMES, REPOSITORY, blocks

if TYPE_CHECKING:
    from .conftest import Block

LAUNCH = "python -m launcher"
INSTALL = "python3 -m venv .venv && .venv/bin/pip install -e . && .venv/bin/python -m launcher"
TEST = "sh tests/run.sh"
SHELL = (INSTALL, TEST, ". .venv/bin/activate", ".venv/bin/python -m pytest ")
"""How lines begin that are not run here: installing, and the suite that this is part of."""

WITH_COMMANDS = [page for page in NAMES if any(block.language == "sh" for block in blocks(page))]


def text(page: str) -> str:
    return (REPOSITORY / page).read_text("utf-8")


def compose_only(words: list[str]) -> None:
    """Compose a launch that this machine may be unable to run."""
    line = parse([word for word in words if not word.startswith("hydra")])
    if not line.multirun:
        load(line)
        return
    problems: list[Any] = []
    Loader(line, None).parse(problems)
    assert not problems


def call(words: list[str]) -> int:
    try:
        return main(words)
    except SystemExit as end:  # argparse's help
        return int(end.code or 0)


def run(block: Block, folder: Path, project: Path, patch: pytest.MonkeyPatch) -> None:
    """Run the lines of a block."""
    if {"app", "slurm", "site"} & set(block.words):  # test_hydra_pages.py, test_slurm_page.py
        return
    for line in block.commands():
        where = f"{block.page}:{block.line}: {line}"
        if any(word.startswith("needs-") for word in block.words):
            patch.chdir(project if "project" in block.words else REPOSITORY)
            if line.startswith(LAUNCH):
                words = shlex.split(line)[3:]
                if words[0] not in COMMANDS or words[:2] == ["env", "build"]:
                    compose_only([word for word in words if word not in {"env", "build"}])
            continue
        if line.startswith(SHELL):
            continue
        assert line.startswith(LAUNCH), f"{where}: who runs this?"
        words = shlex.split(line)[3:]
        command = bool(words) and words[0] in COMMANDS
        patch.chdir(project if "project" in block.words else folder if command else REPOSITORY)
        assert call(words if command else [*words, "dry_run=true"]) == 0, where


@pytest.mark.parametrize("page", WITH_COMMANDS)
@pytest.mark.usefixtures("store")
def test_what_a_page_shows_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, project = tmp_path / "folder", tmp_path / "project"
    folder.mkdir()
    assert main(["init", str(project)]) == 0
    for block in blocks(page):
        if block.language == "yaml" and "project" in block.words:
            [path] = re.findall(r"^# (conf/\S+)$", block.text, re.MULTILINE)
            file = project / path
            file.parent.mkdir(exist_ok=True)
            file.write_text(block.text)
    for block in blocks(page):
        if block.language == "sh":
            run(block, folder, project, monkeypatch)


def test_an_experiment_of_the_page_wins_over_its_config_yaml(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", str(tmp_path / "project")]) == 0
    for block in blocks("docs/configuration.md"):
        if block.language == "yaml" and "project" in block.words:
            [path] = re.findall(r"^# (conf/\S+)$", block.text, re.MULTILINE)
            (tmp_path / "project" / path).parent.mkdir(exist_ok=True)
            (tmp_path / "project" / path).write_text(block.text)
    monkeypatch.chdir(tmp_path / "project")
    for words, steps in (
        ([], "100"),
        (["experiment=two_nodes"], "200"),
        (["experiment=two_nodes", "args.steps=3"], "3"),
    ):
        capsys.readouterr()
        assert main([*words, "dry_run=true"]) == 0
        assert f"--steps {steps} " in capsys.readouterr().out.replace("'", "").replace(",", "")


def test_the_readme_has_the_two_commands_in_blocks_of_their_own() -> None:
    alone = [block.text.strip() for block in blocks("README.md") if block.language == "sh"]
    assert INSTALL in alone
    assert TEST in alone


@pytest.mark.parametrize("page", NAMES)
def test_blocks_of_other_languages_can_be_read(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = tmp_path / "metrics.jsonl"
    monkeypatch.setenv("LAUNCHER_METRICS", str(metrics))
    for block in blocks(page):
        match block.language:
            case "yaml":
                yaml.safe_load(block.text)
            case "toml":
                tomllib.loads(block.text)
            case "json":
                json.loads(block.text)
            case "python" if {"app", "slurm"} & set(block.words):
                compile(block.text, page, "exec")
            case "python":
                exec(compile(block.text, f"{page}:{block.line}", "exec"), {})  # noqa: S102  # ours
                assert json.loads(metrics.read_text().splitlines()[-1])["value"]
            case language:
                assert language in {"sh", "text", "console"}, f"{page}:{block.line}"


@pytest.mark.parametrize("page", NAMES)
def test_links_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", text(page)):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        file = ((REPOSITORY / page).parent / path).resolve() if path else REPOSITORY / page
        assert file.exists(), target
        if anchor:
            titles = re.findall(r"^#+ (.+)$", file.read_text("utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w\- ]", "", title).lower().replace(" ", "-") for title in titles}, (
                target
            )


def test_every_page_is_reached_from_the_readme() -> None:
    seen: set[Path] = set()
    ways = [REPOSITORY / "README.md"]
    while ways:
        page = ways.pop()
        seen.add(page)
        for target in re.findall(r"\]\(([^)\s#]+)", page.read_text("utf-8")):
            file = (page.parent / target).resolve()
            if file.suffix == ".md" and file not in seen and file.is_file():
                ways.append(file)
    assert {REPOSITORY / name for name in NAMES} <= seen


@pytest.mark.parametrize("page", NAMES)
def test_no_page_knows_the_machine_that_it_was_written_on(page: str) -> None:
    assert not re.findall(r"(?<![\w.…>])/(?:root|work|home|tmp)/\S*", text(page))


def test_every_key_is_told() -> None:
    keys = set(yaml.safe_load(text("conf/launcher.yaml"))) - {"defaults"}
    told = set(re.findall(r"`([a-z_]+)`", text("docs/configuration.md")))
    assert keys <= told
    assert keys <= set(re.findall(r"`([a-z_]+)`", text("README.md")))


def test_every_option_is_told() -> None:
    pages = "".join(text(page) for page in NAMES)
    for group, _, option in schemas():
        for field in fields(option):
            if group is not None:
                assert f"{group}.{field.name}" in pages


@pytest.mark.parametrize(
    "group", ["compute", "framework", "distribution", "environment", "data", "experiment"]
)
def test_every_choice_is_told(group: str) -> None:
    [row] = re.findall(rf"^\| `{group}` \|(.*)$", text("docs/configuration.md"), re.MULTILINE)
    for file in (REPOSITORY / "conf" / group).glob("*.yaml"):
        assert f"`{file.stem}`" in row


def test_every_command_is_told_with_its_options() -> None:
    pages = "".join(text(name) for name in NAMES)
    assert all(f"{LAUNCH} {command}" in pages for command in COMMANDS)
    for name, noun, where in (
        ("runs", runs, "runs"),
        ("sweeps", sweeps, "sweeps"),
        ("env", env, "environments"),
        ("compute", compute, None),  # each target's on its own page
    ):
        page = text(f"docs/{where}.md") if where else pages
        for verb in noun.VERBS:
            assert f"{LAUNCH} {name} {verb}" in page
            usage = noun.parsers()[1][verb].format_usage()
            for flag in re.findall(r"\[(--?[a-z]+)", usage):
                assert flag in page or flag == "-h"


def test_states_filters_and_versions_are_told() -> None:
    assert all(str(state) in text("docs/runs.md") for state in State)
    assert all(f"`{key}=" in text("docs/runs.md") for key in KEYS)
    assert all(release.version in text("docs/environments.md") for release in RELEASES)


def test_every_variable_of_a_process_is_told(filled_store: Path) -> None:
    given = (filled_store / "runs/mnist/1/logs/worker-0.log").read_text().split()
    assert "LAUNCHER_METRICS" in given
    assert set(given) <= set(re.findall(r"`(LAUNCHER_\w+)`", text("docs/runs.md")))


def test_the_files_of_a_run_are_told(filled_store: Path) -> None:
    tree = next(block.text for block in blocks("docs/runs.md") if "end.json" in block.text)
    for entry in (filled_store / "runs/mnist/1").iterdir():
        assert re.search(rf"^  {re.escape(entry.name)}\b", tree, re.MULTILINE), entry.name
