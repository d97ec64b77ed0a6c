"""Which of several values counts, in every way of composing, and for keys of every type."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import fields
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, StringNode

import launcher
from launcher.config.hydra_loader import HydraLoader
from launcher.config.load import Loader, load, load_sweep
from launcher.config.omegaconf_nodes import child, element_type
from launcher.config.schema import node_of, schemas
from launcher.config.sweep import Members
from launcher.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

REPOSITORY = Path(launcher.__file__).parents[1]

DEFAULTS = (
    "defaults:\n  - launcher\n  - extra: more\n  - _self_\n  - override compute: mine\n"
    "  - override framework: python\n  - override data: none\nsource: src\nscript: x.py\n"
)
INSTALLED_CHOICES = DEFAULTS.replace("  - extra: more\n", "").replace("compute: mine", "compute: local")
LEVELS = ("installed", "config.yaml", "choice", "experiment", "command line")
"""From the weakest to the strongest."""

KEYS: dict[str, tuple[str, list[Any]]] = {
    "text": ("description", ["one", "two", "three", "four"]),
    "number": ("retries", [1, 2, 3, 4]),
    "boolean": ("wait", [False, True, False, True]),
    "null": ("memory_gib", [1.5, None, 2.5, None]),
    "list": ("command", [["a"], ["b", "c"], ["d"], ["e", "f"]]),
    "mapping": ("env", [{"K": "1"}, {"K": "2"}, {"K": "3"}, {"K": "4"}]),
    "tag": ("tags", [{"K": "1.0"}, {"K": "2.0"}, {"K": "3.0"}, {"K": "4.0"}]),
    "argument": ("args", [{"steps": "100"}, {"steps": "200"}, {"steps": "300"}, {"steps": "400"}]),
    "option": (
        "compute",
        [{"max_parallel": 1}, {"max_parallel": 2}, {"max_parallel": 3}, {"max_parallel": 4}],
    ),
}


def write(conf: Path, levels: dict[str, int]) -> list[str]:
    """Write a project that gives every key on some levels, each its value of that number; return the line."""
    bodies = {
        level: yaml.safe_dump({key: values[number] for key, values in KEYS.values()})
        for level, number in levels.items()
    }
    files = {
        "config.yaml": DEFAULTS + bodies.get("config.yaml", ""),
        "compute/mine.yaml": "defaults: [local]\n",
        "extra/more.yaml": f"# @package _global_\n{bodies.get('choice', '')}",
        "experiment/e.yaml": f"# @package _global_\n{bodies.get('experiment', '')}",
    }
    for name, text in files.items():
        (conf / name).parent.mkdir(parents=True, exist_ok=True)
        (conf / name).write_text(text)
    words = ["--config-dir", str(conf), "experiment=e"]
    for key, values in KEYS.values() if "command line" in levels else ():
        given = json.dumps(values[levels["command line"]])
        words.append(f"{key}={given}".replace('"', "").replace(": ", ":"))
    return words


def composed(words: list[str], place: Path) -> Any:
    loader = Loader(words, place)
    return loader.compose(loader.parse([])).config


def whole(words: list[str], place: Path) -> Any:
    loader = Loader(words, place)
    return loader.composer.compose_whole(loader.parse([])).config


def member(words: list[str], place: Path) -> Any:
    loader = Loader(words, place)
    return Members(loader.composer).compose(loader.parse([]), 0).config


WAYS = {"alone": composed, "hydra": whole, "member": member}


PAIRS = list(combinations(LEVELS, 2))


@pytest.mark.parametrize(("weak", "strong"), PAIRS, ids=[f"{weak} < {strong}" for weak, strong in PAIRS])
def test_the_stronger_of_two_levels_counts(weak: str, strong: str, tmp_path: Path) -> None:
    words = write(
        tmp_path, {level: LEVELS.index(level) - 1 for level in (weak, strong) if level != "installed"}
    )
    for way, compose in WAYS.items():
        config = compose(words, tmp_path)
        for kind, (key, values) in KEYS.items():
            assert as_given(config[key], values[LEVELS.index(strong) - 1]), (kind, way)


def as_given(found: Any, expected: Any) -> bool:
    return (
        all(found[name] == value for name, value in expected.items())
        if hasattr(found, "items")
        else (list(found) if isinstance(expected, list) else found) == expected
    )


def test_a_choice_of_ones_own_is_stronger_than_config_yaml_and_an_installed_one_is_not(place: Path) -> None:
    conf = place / "conf"
    for name, text in {
        "config.yaml": INSTALLED_CHOICES + "compute:\n  max_parallel: 1\n",
        "compute/mine.yaml": "defaults:\n  - _self_\n  - local\nmax_parallel: 2\n",
        "experiment/e.yaml": "# @package _global_\ndefaults: [base, override /compute: mine]\nretries: 2\n",
        "experiment/base.yaml": "# @package _global_\nretries: 1\ndescription: base\n"
        "compute:\n  max_parallel: 3\n",
    }.items():
        (conf / name).parent.mkdir(parents=True, exist_ok=True)
        (conf / name).write_text(text)

    def parallel(*words: str) -> int | None:
        return load(["--config-dir", str(conf), *words], place).spec.compute.max_parallel  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType, reportUnknownMemberType]  # of the local target

    assert (parallel(), parallel("compute=mine"), parallel("experiment=e")) == (1, 2, 3)
    assert parallel("compute=mine", "compute.max_parallel=4") == 4
    spec = load(["--config-dir", str(conf), "experiment=e"], place).spec
    assert (spec.retries, spec.description) == (2, "base")


def test_an_experiment_chooses_over_config_yaml_and_the_command_line_over_both(place: Path) -> None:
    for name, text in {
        "config.yaml": "defaults:\n  - launcher\n  - override framework: sklearn\n"
        "  - override environment: packages\n  - override data: none\n",
        "experiment/base.yaml": "# @package _global_\ndefaults:\n  - override /distribution: mpi\n"
        "  - override /framework: pytorch\n",
        "experiment/e.yaml": "# @package _global_\ndefaults:\n  - base\n  - override /framework: python\n"
        "  - override /environment: current\n",
    }.items():
        (place / "conf" / name).parent.mkdir(parents=True, exist_ok=True)
        (place / "conf" / name).write_text(text)

    def chosen(*words: str) -> list[list[str]]:
        loader = Loader(["--config-dir", "conf", *words], place)
        overrides = loader.parse([])
        found = [
            loader.composer.compose(overrides),
            loader.composer.compose_whole(overrides),
            Members(loader.composer).compose(overrides, 0),
        ]
        groups = ("framework", "environment", "distribution", "data")
        return [[str(each.choices[group]) for group in groups] for each in found]

    assert chosen() == [["sklearn", "packages", "single", "none"]] * 3
    assert chosen("framework=python") == [["python", "packages", "single", "none"]] * 3
    assert chosen("experiment=e") == [["python", "current", "mpi", "none"]] * 3
    assert (
        chosen("experiment=e", "framework=tensorflow", "data=digits")
        == [["tensorflow", "current", "mpi", "digits"]] * 3
    )
    file = place / "conf" / "config.yaml"
    file.write_text(f"{file.read_text()}  - override experiment: e\n")
    assert chosen() == [["python", "current", "mpi", "none"]] * 3
    assert chosen("experiment=base") == [["pytorch", "packages", "mpi", "none"]] * 3


def test_the_files_are_those_of_hydra_in_another_order(tmp_path: Path) -> None:
    words = write(tmp_path, {"config.yaml": 0, "choice": 1, "experiment": 2})
    composer = Loader(words, tmp_path).composer

    def files(loader: ConfigLoaderImpl) -> list[str]:
        found = loader.compute_defaults_list("config", ["experiment=e"], RunMode.RUN).defaults
        return [str(each.config_path) for each in found if not str(each.config_path).startswith("hydra/")]

    theirs = files(ConfigLoaderImpl(composer.search_path(whole=True)))
    ours = files(HydraLoader(composer.search_path(whole=True)))
    assert sorted(ours) == sorted(theirs)
    assert theirs[-1] == "config"
    assert ours[-4:] == ["config", "compute/mine", "extra/more", "experiment/e"]


def test_config_yaml_without_launcher_names_the_lines_to_add(place: Path) -> None:
    conf = place / "conf"
    conf.mkdir()
    lines = "Begin the file with these lines:\ndefaults:\n  - launcher\n  - _self_"
    for text, got in (
        ("name: x\n", "no defaults list"),
        ("defaults:\n  - compute: local\n", "a defaults list without it"),
    ):
        (conf / "config.yaml").write_text(text)
        for call in (load, load_sweep):
            with pytest.raises(ConfigError) as raised:
                call(["--config-dir", str(conf), "experiment=mnist_horovod"], place)
            told = f"{conf}/config.yaml: got {got}; expected one that includes launcher. {lines}"
            assert str(raised.value) == told


FILE = """\
# @package _global_
env: {A: 12:30:45, B: 010, C: 1.10, D: yes, E: 67217e15, F: true, ON: "1.0", G: "${tags.x}"}
tags: {x: 1_000, on: 0x1F, 7: off}
name: 007
description: 2024-01-01
command: [make, 1.10, yes, 010]
framework: {version: 2.10}
args: {a: 12:30:45, b: 010, c: 3e563, d: 1_000, e: 1E5, f: yes, g: true, h: null, i: [1.10, 2.0], on: .5,
  j: "${args.c}"}
"""
ENV = {
    "A": "12:30:45", "B": "010", "C": "1.10", "D": "yes", "E": "67217e15", "F": "true",
    "ON": "1.0", "G": "1_000",
}  # fmt: skip
ARGS = (
    "-a", "12:30:45", "-b", "010", "-c", "3e563", "-d", "1_000", "-e", "1E5", "-f", "yes", "-g",
    "-i", "1.10", "2.0", "--on", ".5", "-j", "3e563",
)  # fmt: skip


def test_text_in_files_is_kept_after_a_scan_for_plugins(place: Path) -> None:
    """Hydra's scan runs the module of its file source again, whose class is another one then."""
    (place / "conf").mkdir()
    (place / "conf" / "config.yaml").write_text("defaults: [launcher, _self_]\nenv: {A: 1.10}\n")
    code = (
        "import launcher.config.load\nfrom pathlib import Path\nfrom hydra.core.plugins import Plugins\n"
        "Plugins.instance()\nwords = ['--config-dir', 'conf', 'framework=python', 'data=none', 'source=.']\n"
        "print(dict(launcher.config.load.load(words, Path.cwd()).spec.env))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=place, capture_output=True, text=True, check=True)
    assert done.stdout == "{'A': '1.10'}\n"


@pytest.mark.parametrize("where", ["experiment/e.yaml", "config.yaml", "extra/e.yaml"])
def test_text_in_files_arrives_as_it_was_written(where: str, place: Path) -> None:
    conf = place / "conf"
    words = ["--config-dir", str(conf), "framework=python", "data=none", "source=src"]
    text = FILE
    if where == "config.yaml":
        text = "defaults:\n  - launcher\n  - _self_\n" + FILE.partition("\n")[2]
    else:
        words.append(
            f"{'+' if where.startswith('extra') else ''}{where.removesuffix('.yaml').replace('/', '=')}"
        )
    (conf / where).parent.mkdir(parents=True)
    (conf / where).write_text(text)
    ways: list[Callable[[], Any]] = [
        lambda: load(words, place).spec,
        lambda: load([*words, "hydra.job.name=x"], place).spec,
        lambda: load_sweep([*words, "retries=1,2"], place)[1].spec,
    ]
    for way in ways:
        spec = way()
        assert spec.env == ENV
        assert spec.tags == {"x": "1_000", "on": "0x1F", "7": "off"}
        assert (spec.name, spec.description, spec.framework.version) == ("007", "2024-01-01", "2.10")
        assert spec.command == ("make", "1.10", "yes", "010")
        assert spec.args == ARGS


def test_options_and_defaults_lists_keep_their_text(place: Path) -> None:
    for name, text in {
        "environment/old.yaml": "defaults: [packages, _self_]\npython: 3.10\npip_packages: [1.10, yes]\n",
        "experiment/010.yaml": "# @package _global_\nretries: 1\n",
        "experiment/e.yaml": "# @package _global_\ndefaults:\n  - 010\n  - override /environment: old\n",
    }.items():
        (place / "conf" / name).parent.mkdir(parents=True, exist_ok=True)
        (place / "conf" / name).write_text(text)
    spec: Any = load(["--config-dir", "conf", "experiment=e", "script=x.py", "source=src"], place).spec
    assert (spec.environment.python, spec.environment.pip_packages) == ("3.10", ["1.10", "yes"])
    assert spec.retries == 1


def test_numbers_and_booleans_are_parsed_where_the_field_is_one(place: Path) -> None:
    (place / "conf" / "experiment").mkdir(parents=True)
    file = place / "conf" / "experiment" / "e.yaml"
    words = ["--config-dir", "conf", "experiment=e", "framework=python", "script=x.py", "source=src"]
    file.write_text(
        "# @package _global_\nretries: 1_0\nmemory_gib: 1e1\nwait: no\nargs: {n: 2}\nnodes: ${args.n}\n"
    )
    request = load([*words, "distribution=torch"], place)
    assert (request.spec.retries, request.spec.resources.memory_gib, request.wait) == (10, 10.0, False)
    assert request.spec.resources.nodes == 2
    file.write_text("# @package _global_\ntime_limit_min: 1:30\n")
    with pytest.raises(ConfigError, match="'1:30'"):  # YAML 1.1 makes 90 of it
        load(words, place)


BASE = ["framework=python", "data=none", "source=src", "script=x.py"]

TYPED = ["67217e15", "3e563", "1.10", "1_000", "1E5", "010", "12:30:45", "yes", "-0.0", "5.", "inf", "0x1F"]


@pytest.mark.parametrize("text", TYPED)
def test_an_argument_arrives_as_it_was_typed(text: str, place: Path) -> None:
    words = [f"args.model={text}", "args.b=${args.model}", f"args.l=[{text},x]", f"args.c=a-{text}"]
    expected = ("--model", text, "-b", text, "-l", text, "x", "-c", f"a-{text}")
    for more in ([], ["hydra.job.name=x"]):
        assert load([*BASE, *words, *more], place).spec.args == expected
    requests = load_sweep([*BASE, f"args.m={text},z", f"tags.t=choice({text},z)"], place)
    assert [each.spec.args[1] for each in requests] == [text, text, "z", "z"]
    assert [each.spec.tags["t"] for each in requests] == [text, "z", text, "z"]
    assert f"args.m={text}" in requests[0].overrides


def test_functions_of_hydra_keep_the_spelling(place: Path) -> None:
    def values(word: str) -> list[str]:
        return [each.spec.args[1] for each in load_sweep([*BASE, word], place)]

    assert values("args.x=sort(1.10,1.0)") == ["1.0", "1.10"]
    assert sorted(values("args.x=shuffle(1.10,2.0)")) == ["1.10", "2.0"]
    assert values("args.x=tag(t,choice(1e-3,1.0))") == ["1e-3", "1.0"]
    assert values("args.x=range(1,3)") == ["1", "2"]
    assert load([*BASE, "args.x=str(1.10)"], place).spec.args == ("-x", "1.10")
    assert load([*BASE, "args.x=float(1)"], place).spec.args == ("-x", "1.0")


def test_the_last_of_two_counts_with_its_spelling(place: Path) -> None:
    def args(*words: str) -> tuple[str, ...]:
        [alone, through_hydra] = [
            load([*BASE, *words, *more], place).spec.args for more in ([], ["hydra.job.name=x"])
        ]
        assert alone == through_hydra
        return alone

    assert args("args.x=1.10", "args.x=abc") == ("-x", "abc")
    assert args("args.x=1.10", "args.x=1.1") == ("-x", "1.1")
    assert args("args={x:1.10,y:2.0}", "args.x='1.1'") == ("-x", "1.1", "-y", "2.0")
    assert args("args.x=1.10", "args_style=hydra")[1:] == ("x=1.10",)
    assert args("args.x=1.10", "args.x='2.10'", "args.y=[1.0,'2.0']", "args_style=hydra")[1:] == (
        "x='2.10'", "y=[1.0,'2.0']",
    )  # fmt: skip


WHOLE = {
    "args=[a,--lr=1.10,'b c']": ("a", "--lr=1.10", "b c"),
    "args=[]": (),
    "args._=[fit,2.0]": ("--steps", "100", "fit", "2.0"),
    "args._=fit": ("--steps", "100", "fit"),
    "args._=null": ("--steps", "100"),
    "args.inc=[[a],[b,1.10]]": ("--steps", "100", "--inc", "a", "--inc", "b", "1.10"),
    "args=[a] args.x=1": ("a", "-x", "1"),
    "args.x=1 args=[a]": ("a",),
    "args=[a] args=[b]": ("b",),
    "args.k=true args.l=[1,2] args_style=equals": ("--steps=100", "-k", "-l=1", "-l=2"),
    "args.n=null args.inc=[[a],[b]] args._=[x] args_style=equals": ("--steps=100", "--inc=a", "--inc=b", "x"),
    "args._=['--multirun',x=1,2.0] args_style=hydra": (
        "hydra.run.dir=outputs",
        "steps=100",
        "--multirun",
        "x=1",
        "2.0",
    ),
}


@pytest.mark.parametrize("line", WHOLE)
def test_arguments_without_a_flag(line: str, place: Path) -> None:
    (place / "conf").mkdir()
    (place / "conf" / "config.yaml").write_text("defaults:\n  - launcher\n  - _self_\nargs: {steps: 100}\n")
    words = ["--config-dir", "conf", *BASE, *line.replace("'b c'", "'b+c'").split()]
    words = [word.replace("'b+c'", "'b c'") for word in words]
    assert load(words, place).spec.args == WHOLE[line]
    assert load([*words, "hydra.job.name=x"], place).spec.args == WHOLE[line]
    assert load_sweep([*words, "retries=1,2"], place)[1].spec.args == WHOLE[line]


def test_a_list_in_a_file_takes_the_place_of_all_arguments_before_it(place: Path) -> None:
    for name, text in {
        "config.yaml": "defaults:\n  - launcher\n  - _self_\nargs: {steps: 100}\n",
        "experiment/e.yaml": "# @package _global_\nargs: [fit, --lr, 1.10]\n",
        "experiment/more.yaml": "# @package _global_\ndefaults:\n  - e\n  - _self_\nargs: {x: 010}\n",
    }.items():
        (place / "conf" / name).parent.mkdir(parents=True, exist_ok=True)
        (place / "conf" / name).write_text(text)
    words = ["--config-dir", "conf", "source=src"]
    for more in (BASE, ["framework=sklearn", "data=digits"]):  # also in place of an example's
        assert load([*words, *more, "experiment=e"], place).spec.args == ("fit", "--lr", "1.10")
    assert load([*words, *BASE, "experiment=more"], place).spec.args == ("fit", "--lr", "1.10", "-x", "010")


def test_a_foreign_sweeper_and_cfg_keep_the_spelling_and_the_order(place: Path) -> None:
    conf = place / "conf"
    for name, text in {
        "config.yaml": INSTALLED_CHOICES + "args: {steps: 100, lr: 0.10}\nname: sw\n",
        "experiment/e.yaml": "# @package _global_\nargs: {steps: 2_00}\ntags: {v: 1.10}\n",
    }.items():
        (conf / name).parent.mkdir(parents=True, exist_ok=True)
        (conf / name).write_text(text)
    (place / "src" / "x.py").write_text("import sys; print('ARGV', sys.argv[1:])\n")

    def run(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "launcher", "--config-dir", "conf", "experiment=e", *words],
            cwd=place, capture_output=True, text=True, check=False, timeout=120,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    shown = yaml.safe_load(run("--cfg", "job", "args.model=67217e15"))
    assert shown["args"] == {"steps": "2_00", "lr": "0.10", "model": "67217e15"}
    run("-m", "hydra/sweeper=basic", "hydra.sweep.dir=found", "args.model=67217e15", "args.x=1.10,2.20")
    logs = sorted((place / "store" / "runs" / "sw").glob("*/logs/*-0.log"))
    assert [log.read_text().strip() for log in logs] == [
        f"ARGV ['--steps', '2_00', '--lr', '0.10', '--model', '67217e15', '-x', '{x}']"
        for x in ("1.10", "2.20")
    ]
    submitted = json.loads((logs[0].parents[1] / "submit.json").read_text())
    assert {"args.model=67217e15", "args.x=1.10"} <= set(submitted["overrides"])


def test_a_file_sweeps_over_values_as_they_are_written(place: Path) -> None:
    (place / "conf" / "experiment").mkdir(parents=True)
    (place / "conf" / "experiment" / "e.yaml").write_text(
        "# @package _global_\nhydra:\n  sweeper:\n    params:\n      args.x: 1.10,2.0\n      args.y: 0.50\n"
    )
    requests = load_sweep(["--config-dir", "conf", *BASE, "experiment=e"], place)
    assert [each.spec.args for each in requests] == [
        ("-x", "1.10", "-y", "0.50"),
        ("-x", "2.0", "-y", "0.50"),
    ]


def text_fields() -> list[tuple[str, str, str]]:
    """Return group, choice and name of every option that is a text, a list of texts or a mapping of texts."""
    return [
        (group, choice, field.name)
        for group, choice, option in schemas()
        for field in fields(option)
        if group and isinstance(node_with_text(option, field.name), StringNode)
    ]


def node_with_text(option: type, name: str) -> Any:
    node = child(node_of(option), name)
    if isinstance(node, (DictConfig, ListConfig)):
        return StringNode() if element_type(node) is str else None
    return node


@pytest.mark.parametrize(("group", "choice", "name"), text_fields())
def test_every_option_for_text_keeps_it(group: str, choice: str, name: str, place: Path) -> None:
    option = next(option for *where, option in schemas() if where == [group, choice])
    node = child(node_of(option), name)
    shape = "{}" if isinstance(node, StringNode) else "[{}]" if isinstance(node, ListConfig) else "{{k: {}}}"
    installed = "none" if group == "data" else choice
    folder = place / "conf" / group
    folder.mkdir(parents=True)
    for text in ("1.10", "true", "67217e15"):
        (folder / "mine.yaml").write_text(f"defaults: [{installed}, _self_]\n{name}: {shape.format(text)}\n")
        found: Any = composed(["--config-dir", "conf", f"{group}=mine"], place)[group][name]
        values = list(found.values()) if isinstance(found, DictConfig) else found
        assert values == (text if isinstance(node, StringNode) else [text])


def test_config_yaml_needs_no_self(place: Path) -> None:
    (place / "conf").mkdir()
    (place / "conf" / "config.yaml").write_text(
        "\ufeffdefaults:\n  - launcher\nretries: 3\n", encoding="utf-8"
    )
    for more in ([], ["hydra.job.name=x"]):
        assert load(["--config-dir", "conf", *BASE, *more], place).spec.retries == 3
