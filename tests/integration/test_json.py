"""The JSON of every command is as its schema in docs/json has it."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from launcher.cli import COMMANDS, parser_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.conftest import Lab

SCHEMAS = Path(__file__).parents[2] / "docs" / "json"
SHARED = {"cause", "run", "sweep", "environment", "error"}

SCRIPT = """\
import json, os, sys
with open(os.environ["LAUNCHER_METRICS"], "a") as file:
    file.write(json.dumps({"name": "loss", "value": float("nan")}) + "\\n")
print("so far")
sys.exit(len(sys.argv) > 1 and int(sys.argv[-1]))
"""

CASES: dict[str, tuple[list[str], int]] = {
    "runs-list": (["runs", "list"], 0),
    "runs-show": (["runs", "show", "mnist/1"], 0),
    "runs-logs": (["runs", "logs", "mnist/1"], 0),
    "runs-files": (["runs", "files", "mnist/1"], 0),
    "runs-download": (["runs", "download", "mnist/1", "logs", "-o", "@"], 0),
    "runs-wait": (["runs", "wait", "mnist/1", "mnist/3"], 1),
    "runs-cancel": (["runs", "cancel", "mnist/1"], 0),
    "runs-rerun": (["runs", "rerun", "mnist/1"], 0),
    "sweeps-list": (["sweeps", "list"], 0),
    "sweeps-show": (["sweeps", "show", "latest"], 0),
    "sweeps-wait": (["sweeps", "wait", "latest"], 1),
    "sweeps-cancel": (["sweeps", "cancel", "latest", "0"], 0),
    "sweeps-resume": (["sweeps", "resume", "latest"], 0),
    "env-list": (["env", "list"], 0),
    "env-show": (["env", "show", "@key"], 0),
    "env-build": (["env", "build", "@line"], 0),
    "env-prune": (["env", "prune", "--all", "--dry-run"], 0),
    "compute-check": (["compute", "check", "compute=local"], 0),
    "compute-clean": (["compute", "clean", "--dry-run"], 1),
    "init": (["init", "@"], 0),
    "runs-delete": (["runs", "delete", "mnist/1", "mnist/3"], 0),
}
"""Words of each command, and its exit code. `@` is a new folder."""


def validator(name: str) -> Any:
    resources: list[tuple[str, Any]] = []
    for path in SCHEMAS.glob("*.schema.json"):
        content = json.loads(path.read_text())
        Draft202012Validator.check_schema(content)
        resources.append((path.name, Resource.from_contents(content)))
    known = cast("Any", Registry)().with_resources(resources)
    return Draft202012Validator(known.contents(f"{name}.schema.json"), registry=known)


def actions() -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Yield the parser of every verb, and of commands without verbs."""
    for noun, command in COMMANDS.items():
        for verb in command.verbs or [""]:
            yield f"{noun}-{verb}".rstrip("-"), parser_of(noun, verb)


def test_every_command_with_json_has_a_schema_and_a_case() -> None:
    takers = {name for name, parser in actions() if "--json" in parser.format_help()}
    assert takers == set(CASES)
    assert {path.name.removesuffix(".schema.json") for path in SCHEMAS.glob("*.json")} == takers | SHARED
    titles = {name: json.loads((SCHEMAS / f"{name}.schema.json").read_text())["title"] for name in takers}
    for name, title in titles.items():
        assert title.startswith(f"launcher {name.replace('-', ' ')} --json")


def build(lab: Lab) -> str:
    """Put an environment into the cache; return its key."""
    wheel = lab.source / "empty_thing-1.0-py3-none-any.whl"
    import zipfile  # noqa: PLC0415

    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("empty_thing.py", "")
        info = "empty_thing-1.0.dist-info"
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: empty-thing\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    words = lab.line("environment=packages", f"environment.pip_packages=[{wheel}]")[3:]
    done = lab.command("env", "build", *[word for word in words if word != "environment=current"], "--json")
    assert done.returncode == 0, done.stderr
    built = json.loads(done.stdout)
    validator("env-build").validate(built)
    return built["key"]


def test_the_json_of_every_command_is_as_its_schema_says(lab: Lab, tmp_path: Path) -> None:
    lab.env["DOCKER_HOST"] = f"unix://{tmp_path}/nobody.sock"
    lab.script(SCRIPT)
    assert lab.launch().returncode == 0
    assert lab.launch("-m", "args.x=0,3").returncode == 1
    key = build(lab)
    rows: dict[str, dict[str, Any]] = {}
    for name, (words, code) in CASES.items():
        given = [str(tmp_path / name) if word == "@" else key if word == "@key" else word for word in words]
        given = [word for each in given for word in (lab.line()[3:] if each == "@line" else [each])]
        done = lab.command(*given, "--json")
        assert done.returncode == code, (name, done.stderr)
        lines = done.stdout.splitlines() if name == "runs-logs" else [done.stdout]
        assert lines, name
        for line in lines:
            validator(name).validate(json.loads(line, parse_constant=pytest.fail))
        if name == "runs-list":
            rows = {row["id"]: row for row in json.loads(done.stdout)}
        if name == "runs-show":
            shown = json.loads(done.stdout)
            assert {field: shown[field] for field in rows["mnist/1"]} == rows["mnist/1"]
        if name == "sweeps-show":
            for member in json.loads(done.stdout)["members"]:
                row = rows[member["run"]]
                assert {field: member[field] for field in row if field in member} == {
                    field: row[field] for field in row if field in member
                }
        if name == "compute-clean":  # there is no engine
            validator("error").validate(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["runs", "show", "mnist/7"], {"key": None}),
        (
            ["runs", "list", "sate=failed", "since=never"],
            {"key": "filter sate", "given": "sate=failed"},
        ),
        (["runs", "show"], {"message": "launcher runs show: the following arguments are required: run"}),
        (["runs", "lits"], {"key": None}),
        (
            ["sweeps", "wait", "x", "--no"],
            {"message": "launcher sweeps wait: unrecognized arguments: --no. Did you mean --json?"},
        ),
        (["env", "build", "nodse=2"], {"key": "nodse"}),
        (["compute", "check", "compute=lcoal"], {}),
        (["init", "/proc/none"], {"key": None}),
        (["rnus", "list"], {"key": None}),
    ],
)
def test_an_error_is_one_line_of_json_on_standard_error(
    lab: Lab, words: list[str], problem: dict[str, Any]
) -> None:
    plain, done = lab.command(*words), lab.command(*words, "--json")
    assert (plain.returncode, done.returncode, done.stdout) == (2, 2, "")
    [line] = done.stderr.splitlines()
    error = json.loads(line)
    validator("error").validate(error)
    assert error["error"]["exit_code"] == 2
    first = error["error"]["problems"][0]
    assert {field: first[field] for field in problem} == problem
    assert len(error["error"]["problems"]) == (2 if "since=never" in words else 1)


def test_runs_that_cannot_be_deleted_are_problems_beside_the_answer(lab: Lab) -> None:
    lab.script("import time; print('up', flush=True); time.sleep(300)")
    assert lab.launch("wait=false").returncode == 0
    lab.running(lab.run(), "up")
    done = lab.command("runs", "delete", "mnist/1", "--json")
    assert (done.returncode, json.loads(done.stdout)) == (2, [])
    [problem] = json.loads(done.stderr)["error"]["problems"]
    assert problem["message"].startswith("mnist/1: this run is Running")
    done = lab.command("runs", "wait", "mnist/1", "--timeout", "0.1", "--json")
    validator("runs-wait").validate(json.loads(done.stdout))
    assert json.loads(done.stderr) == {"note": "mnist/1: still Running after 0.1 s"}
    validator("runs-show").validate(json.loads(lab.command("runs", "show", "mnist/1", "--json").stdout))
    assert lab.command("runs", "cancel", "mnist/1").returncode == 0
