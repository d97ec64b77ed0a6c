"""What people are told about their files: the file, the line, what is wrong and what to do."""

# ruff: noqa: E501, ISC004  # messages stand as they are shown

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from launcher.config.load import load
from launcher.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

HEAD = b"# @package _global_\n"
DEFAULTS = b"defaults:\n  - override /framework: python\n  - override /environment: current\n  - _self_\n"
BODY = b"name: p\nsource: src\nscript: x.py\n"
WHOLE = HEAD + DEFAULTS + BODY
"""Eight lines: what follows stands in line 9."""

EXPERIMENTS: dict[str, tuple[bytes, list[str]]] = {
    "latin1": (
        WHOLE + "description: caf\xe9\n".encode("latin-1"),
        ["9: got 'byte 0xe9'; expected text in UTF-8. Save the file as UTF-8"],
    ),
    "binary": (bytes(range(256)), ["2: got 'byte 0x80'; expected text in UTF-8. Save the file as UTF-8"]),
    "zero": (
        WHOLE + b"description: a\0b\n",
        [r"9: got '\x00'; expected text that YAML can hold. Remove the character"],
    ),
    "empty": (b"", ["1: this file is empty; begin it with the line `# @package _global_`"]),
    "bare": (
        DEFAULTS + BODY,
        ["1: its keys are for the whole configuration; begin it with the line `# @package _global_`"],
    ),
    "keys_only": (
        BODY,
        ["1: its keys are for the whole configuration; begin it with the line `# @package _global_`"],
    ),
    "late": (
        b"# mine\n\n" + WHOLE,
        ["3: `# @package _global_` does not put the keys at the top. Move it to the first line"],
    ),
    "misspelt": (
        b"# @package global\n" + BODY,
        ["1: `# @package global` does not put the keys at the top. Write `# @package _global_`"],
    ),
    "list": (HEAD + b"- a\n", ["2: got 'a list'; expected keys with values, such as nodes: 2"]),
    "text": (HEAD + b"hello\n", ["2: got 'hello'; expected keys with values, such as nodes: 2"]),
    "tab": (
        WHOLE + b"args:\n\tsteps: 3\n",
        [r"10: found character '\t' that cannot start any token. Indent with spaces, not with a tab"],
    ),
    "unclosed": (
        WHOLE + b"tags: {a: 1\n",
        ["10: expected ',' or '}', but got '<stream end>'. Close the bracket or the quote of line 9"],
    ),
    "colon": (
        WHOLE + b"description: a: b\n",
        ["9: mapping values are not allowed here. Put a value that contains ': ' into quotes"],
    ),
    "twice": (
        WHOLE + b"nodes: 1\nnodes: 2\n",
        ["9: the key nodes stands there more than once. Keep one of them"],
    ),
    "tagged": (
        WHOLE + b"args: !foo x\n",
        [
            "9: could not determine a constructor for the tag '!foo'. "
            "Put a value that begins with ! into quotes"
        ],
    ),
    "open": (
        WHOLE + b"tags:\n  a: [1, '${nope']\n",
        [r"10: got '${nope'; expected ${…} with a closing brace. For these characters themselves write \${"],
    ),
    "typos": (
        WHOLE + b"nodse: 2\nsorce: x\n",
        [
            "9: nodse: got 2; expected a known key. Did you mean nodes?",
            "10: sorce: got 'x'; expected a known key. Did you mean source?",
        ],
    ),
    "typo_below": (
        WHOLE + b"compute:\n  max_paralel: 2\n",
        [
            "10: compute.max_paralel: got 2; expected a key of compute: max_parallel. "
            "Did you mean compute.max_parallel?"
        ],
    ),
    "wrapped": (
        WHOLE + b"resources:\n  nodes: 2\n",
        [
            "9: resources: got {'nodes': 2}; expected a known key. Write its keys without `resources:` above them"
        ],
    ),
    "choice": (
        WHOLE + b"compute: local\n",
        [
            "9: compute: got 'local'; expected a mapping of its keys. "
            "A choice stands in the defaults: `- override /compute: local`"
        ],
    ),
    "types": (
        WHOLE + b"wait: perhaps\nnodes:\nargs: 3\ncommand: ls -l\nenv:\n  A:\n  B: [1]\n",
        [
            "9: wait: got 'perhaps'; expected true or false",
            "10: nodes: got None; expected a whole number, such as 2",
            "11: args: got 3; expected a mapping such as {a: b}",
            "12: command: got 'ls -l'; expected a list such as [a,b]",
            "14: env.A: got None; expected a text",
        ],
    ),
    "dotted": (
        WHOLE + b"args.lr: 1\n",
        ["9: args.lr: got 1; expected keys without dots. Write `args:`, and `lr: …` indented below it"],
    ),
    "hydra": (
        WHOLE + b"hydra:\n  sweeper:\n    parmas: {}\n",
        [
            "11: hydra.sweeper.parmas: got {}; expected a key of hydra.sweeper: _target_, max_batch_size, params. "
            "Did you mean hydra.sweeper.params?"
        ],
    ),
    "input": (
        WHOLE + b"data:\n  inputs:\n    x: /data\n",
        ["11: data.inputs.x: got '/data'; expected a mapping such as {uri: PATH}"],
    ),
    "unknown_choice": (
        HEAD + b"defaults:\n  - override /framework: pythn\n  - override /compute: [lcl]\n  - _self_\n",
        [
            "3: defaults: got 'override /framework: pythn'; "
            "expected one of python, pytorch, sklearn, tensorflow. Did you mean python?",
            "4: defaults: got 'override /compute: lcl'; expected one of docker, local, slurm. Did you mean local?",
        ],
    ),
    "unknown_group": (
        HEAD + b"defaults:\n  - override /framewrk: python\n  - _self_\n",
        [
            "3: defaults: got 'override /framewrk'; expected one of the groups compute, data, distribution, "
            "environment, example, experiment, framework. Did you mean framework?"
        ],
    ),
    "no_slash": (
        HEAD + b"defaults:\n  - override framework: python\n  - _self_\n",
        [
            "3: defaults: got 'override framework'; expected a group; without / it is one below its own folder. "
            "Write override /framework: python"
        ],
    ),
    "no_override": (
        HEAD + b"defaults:\n  - /framework: python\n  - _self_\n",
        [
            "3: defaults: got '/framework'; expected an override: the group is chosen from already. "
            "Write - override /framework: python"
        ],
    ),
    "no_list": (
        HEAD + b"defaults: quick\n",
        ["2: defaults: got 'quick'; expected a list: a line `- …` for each entry"],
    ),
    "entries": (
        HEAD
        + b"defaults:\n  - {override /framework: python, override /data: none}\n  - 5\n  - _self_\n  - _self_\n",
        [
            "6: defaults: _self_ stands there more than once. Keep one of them",
            "3: defaults: expected one group an entry. Begin each with a `-` of its own",
            "4: defaults: got '5'; expected the name of a file or group: choice",
        ],
    ),
    "circle": (
        HEAD + b"defaults:\n  - circle\n  - _self_\n",
        [
            "2: these defaults lead back to themselves: experiment/circle → experiment/circle. "
            "Remove one of the entries"
        ],
    ),
}


@pytest.fixture
def project(place: Path) -> Path:
    """A project with a conf."""
    (place / "pyproject.toml").write_text('[tool.launcher]\nconf = "conf"\n')
    (place / "conf" / "experiment").mkdir(parents=True)
    return place


def problems(project: Path, *words: str) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        load(list(words), project)
    return [str(problem) for problem in raised.value.problems]


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_that_is_wrong(name: str, project: Path) -> None:
    content, told = EXPERIMENTS[name]
    (project / "conf" / "experiment" / f"{name}.yaml").write_bytes(content)
    assert problems(project, f"experiment={name}") == [f"conf/experiment/{name}.yaml:{text}" for text in told]


BASE = b"defaults:\n  - launcher\n  - _self_\n"
PRIMARY: dict[str, tuple[bytes, list[str]]] = {
    "bytes": (
        BASE + b"description: \xe9\n",
        ["4: got 'byte 0xe9'; expected text in UTF-8. Save the file as UTF-8"],
    ),
    "list": (b"- a\n", ["1: got 'a list'; expected keys with values, such as nodes: 2"]),
    "typo": (BASE + b"nodse: 2\n", ["4: nodse: got 2; expected a known key. Did you mean nodes?"]),
    "choice": (
        BASE + b"  - override compute: locl\n",
        [
            "4: defaults: got 'override compute: locl'; expected one of docker, local, slurm. Did you mean local?"
        ],
    ),
    "circle": (
        b"defaults:\n  - config\n  - _self_\n",
        ["1: these defaults lead back to themselves: config → config. Remove one of the entries"],
    ),
}


@pytest.mark.parametrize("name", PRIMARY)
def test_a_config_yaml_that_is_wrong_whatever_is_chosen(name: str, project: Path) -> None:
    content, told = PRIMARY[name]
    (project / "conf" / "config.yaml").write_bytes(content)
    expected = [f"conf/config.yaml:{text}" for text in told]
    assert problems(project, "framework=python", "nodes=2") == expected


@pytest.mark.parametrize("content", ["", "nodes: 1\n", "defaults:\n  - launchr\n  - _self_\n"])
def test_a_config_yaml_without_the_keys_of_a_launch_is_the_only_problem(content: str, project: Path) -> None:
    (project / "conf" / "config.yaml").write_text(content)
    [problem] = problems(project, "experiment=quick", "nodes=2")
    assert problem.startswith(f"{project}/conf/config.yaml: got ")
    assert "expected one that includes launcher" in problem


def test_a_file_in_the_place_of_an_installed_one(project: Path) -> None:
    (project / "conf" / "launcher.yaml").write_text("nodes: 1\n")
    assert problems(project, "framework=python") == [
        "conf/launcher.yaml:1: this file takes the place of the installed launcher.yaml. Rename it"
    ]


def test_choices_of_a_group_and_every_file_that_is_wrong_together(project: Path) -> None:
    for folder in ("compute", "environment"):
        (project / "conf" / folder).mkdir()
    (project / "conf" / "compute" / "mine.yaml").write_text(
        "defaults:\n  - local\n  - _self_\nmax_parallel: many\n"
    )
    (project / "conf" / "environment" / "mine.yaml").write_text("defaults:\n  - packges\n  - _self_\n")
    assert problems(project, "compute=mine") == [
        "conf/compute/mine.yaml:4: compute.max_parallel: got 'many'; expected a whole number, such as 2, or null"
    ]
    (project / "conf" / "compute" / "mine.yaml").write_bytes(b"\xe9")
    assert problems(project, "environment=mine", "nodes=2") == [
        "conf/environment/mine.yaml:2: defaults: got 'packges'; "
        "expected a file in environment/: current, image, mine, packages. Did you mean packages?"
    ]


def test_a_byte_order_mark_is_no_part_of_a_file(project: Path) -> None:
    mark = b"\xef\xbb\xbf"
    (project / "conf" / "experiment" / "marked.yaml").write_bytes(mark + WHOLE + b"nodes: 1\nretries: 3\n")
    (project / "conf" / "config.yaml").write_bytes(mark + BASE + b"work: copy\n")
    (project / "pyproject.toml").write_bytes(mark + b'[tool.launcher]\nconf = "conf"\nstore = "kept"\n')
    request = load(["experiment=marked"], project)
    assert (request.spec.retries, request.spec.work, request.store) == (3, "copy", project / "kept")
    both = load(["experiment=marked", "hydra.job.name=x"], project)  # with Hydra's own tree
    assert both.spec.retries == 3


def test_a_pyproject_that_is_wrong(project: Path) -> None:
    file = project / "pyproject.toml"
    file.write_bytes(b"# caf\xe9\n[tool.launcher]\n")
    assert problems(project) == [f"{file}:1: got 'byte 0xe9'; expected text in UTF-8. Save the file as UTF-8"]
    file.write_bytes(b"[tool.launcher]\nconf = conf\n")
    assert problems(project) == [
        f'{file}: this is not TOML: Invalid value (at line 2, column 8). Texts stand in quotes: conf = "conf"'
    ]
    file.write_bytes(b'tool = "launcher"\n')
    assert problems(project, "experiment=none")[0].startswith("experiment: got 'none'; expected one of")
