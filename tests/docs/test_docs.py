"""The pages name what exists: keys, options, commands, flags, messages and links; and all of it is named.

test_pages.py and its siblings type what the pages show.
"""

from __future__ import annotations

import ast
import re
import shlex
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from launcher.__main__ import main
from launcher.capabilities import Framework
from launcher.cli import COMMANDS, parser_of
from launcher.config.schema import schemas
from launcher.environment.recipe.frameworks import RELEASES
from launcher.spec import State
from launcher.store.filters import KEYS

from .pages import NAMES, REPOSITORY, blocks
from .reader import LAUNCH

INSTALL = "python3 -m venv .venv && .venv/bin/pip install -e . && .venv/bin/python -m launcher"
TEST = "sh tests/run.sh"
NOUNS = {name: command.verbs for name, command in COMMANDS.items() if command.verbs}
GROUPS = ("compute", "framework", "distribution", "environment", "data")


def text(page: str) -> str:
    return (REPOSITORY / page).read_text("utf-8")


def prose(page: str) -> str:
    """Return a page without its blocks."""
    return re.sub(r"^```.*?^```$", "", text(page), flags=re.MULTILINE | re.DOTALL)


def inline(page: str) -> list[str]:
    """Return what stands between backquotes in the prose of a page."""
    return re.findall(r"`([^`\n]+)`", prose(page))


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
    for name, verbs in NOUNS.items():
        page = {"env": "docs/environments.md"}.get(name, f"docs/{name}.md")
        where = pages if name == "compute" else text(page)  # each target's on its own page
        for verb in verbs:
            assert f"{LAUNCH} {name} {verb}" in where
            for flag in re.findall(r"\[(--?[a-z-]+)", parser_of(name, verb).format_usage()):
                assert flag in where or flag == "-h", f"{name} {verb} {flag}"


@pytest.mark.parametrize("page", NAMES)
def test_commands_in_the_prose_can_be_typed(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for span in inline(page):
        words = shlex.split(span.removeprefix(f"{LAUNCH} ")) if not span.count("'") % 2 else []
        if not words or "…" in span or (words[0] not in COMMANDS):
            continue
        verbs, typed = NOUNS.get(words[0]), span.startswith(LAUNCH)
        if verbs is None:
            if typed and words[0] == "init":
                assert main(words) == 0, span
        elif len(words) > 1:
            assert words[1] in verbs, span
            if typed or len(words) > 2:  # two words alone are the command's name
                parser = parser_of(*words[:2])
                with_run = words[2:] if typed or not _lacks_its_run(words) else [*words[2:], "latest"]
                try:
                    parser.parse_known_args(with_run)
                except SystemExit:
                    pytest.fail(f"{page}: {span}")


def _lacks_its_run(words: list[str]) -> bool:
    return all(word.startswith("-") for word in words[2:])


@pytest.mark.parametrize("page", NAMES)
def test_options_in_tables_exist(page: str) -> None:
    known = {f"{group}.{field.name}" for group, _, option in schemas() if group for field in fields(option)}
    known |= {f"framework.{field.name}" for field in fields(Framework)}
    rows = re.findall(r"^\| *(`[^|]*`)[^|]*\|", prose(page), re.MULTILINE)
    for row in rows:
        for name in re.findall(rf"`((?:{'|'.join(GROUPS)})\.[a-z_]+)", row):
            assert name in known, name


def test_keys_in_the_table_of_keys_exist() -> None:
    keys = set(yaml.safe_load(text("conf/launcher.yaml"))) | set(GROUPS)
    [table] = re.findall(r"^## Keys\n(.*?)^## ", text("docs/configuration.md"), re.MULTILINE | re.DOTALL)
    named = set(re.findall(r"^\| `([a-z_]+)`", table, re.MULTILINE))
    assert named <= keys
    assert len(named) > 20


def literals() -> set[str]:
    """Return the fixed parts of all texts in the source."""
    found: set[str] = set()
    for file in (REPOSITORY / "launcher").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.update(part.strip() for part in re.split(r"%[sr]|\{\w*\}|\n", node.value))
    return {part for part in found if len(part) >= 4}


def test_messages_are_those_of_the_source() -> None:
    fixed = literals()
    wrong: list[str] = []
    shown = [block for name in NAMES for block in blocks(name) if "message" in block.words]
    assert len(shown) > 50
    for block in shown:
        lines = [line.strip() for line in block.text.splitlines() if not line.startswith("  |")]
        message = " ".join(lines)
        in_source = [False] * len(message)
        for part in (part for part in fixed if part in message):
            for match in re.finditer(re.escape(part), message):
                in_source[slice(*match.span())] = [True] * len(part)
        rest = "".join("_" if known else char for char, known in zip(message, in_source, strict=True))
        words = len(re.findall(r"[A-Za-z]{3,}", re.sub(r"'[^']*'", "", rest)))
        share = words / len(re.findall(r"[A-Za-z]{3,}", message))
        if share > 0.45 and not message.startswith("omegaconf."):
            wrong.append(f"{block.where}: {message} ({share:.0%} not in the source)")
    assert not wrong, "\n".join(wrong)


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
