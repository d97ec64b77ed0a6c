"""What is too large, too deep, or no number in its range is refused in words, before it is built."""

from __future__ import annotations

import argparse
import os
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args, get_type_hints

import pytest

from launcher.checks import check
from launcher.cli import COMMANDS, parser_of
from launcher.cli.output import open_store
from launcher.config.load import load, load_sweep
from launcher.config.schema import schemas
from launcher.environment.recipe.requirements import read
from launcher.errors import ConfigError
from launcher.facts import Cluster, Facts
from launcher.limits import FLAGS, INTERPOLATIONS, ITEMS, MEMBERS, NUMBERS, TEXT, VALUES
from launcher.members import refuse_sweep

if TYPE_CHECKING:
    from collections.abc import Iterator

BASE = ["framework=python", "environment=current", "data=none", "source=src", "script=x.py"]
FACTS = Facts(cpus=2, memory_mib=8192)
DOCS = Path(__file__).parents[3] / "docs" / "configuration.md"


def told(*words: str) -> str:
    """Return the problems of a launch, one a line."""
    try:
        return "\n".join(map(str, check(load([*BASE, *words]).spec, FACTS)))
    except ConfigError as error:
        return str(error)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("nodes=1000000000", "distribution=torch"), "nodes: got 1000000000; expected at most 4,096"),
        (("nodes=4000", "distribution=torch"), "nodes: got 4000; expected at most 256 processes in all"),
        (("processes_per_node=300", "distribution=mpi"), "processes_per_node: got 300; expected at most 256"),
        (("nodes=100", "processes_per_node=9", "distribution=torch"), "got 900; expected at most 256"),
        (
            ("nodes=4096", "processes_per_node=16384", "distribution=mpi"),
            "got 67108864; expected at most 16,384",
        ),
        (("processes_per_node=1500", "distribution=multi_worker"), "got 1500; expected at most 1,000 tasks"),
        (
            ("distribution=parameter_server", "distribution.worker_count=990", "nodes=30"),
            "got 992; expected at most 256",
        ),
        (("cpus_per_process=3",), "cpus_per_process: got 3; expected at most 2: this machine has"),
        (("memory_gib=9",), "memory_gib: got 9.0; expected at most 8: this machine has that much"),
        (
            ("compute=docker", "nodes=99", "distribution=torch"),
            "nodes: got 99; expected at most 32 (16 containers",
        ),
        (("wait=2",), "wait: got '2'; expected true or false"),
        (("compute=slurm", "compute.exclusive=-1"), "compute.exclusive: got '-1'; expected true or false"),
        (("source=",), "source: got ''; expected a folder"),
        (("environment=packages", "environment.torch_backend=cu9"), "environment.torch_backend: got 'cu9'"),
        (("args.a=" + "[" * 40 + "]" * 40,), "args.a: got '40 levels'; expected at most 32"),
        (("[" * 5000,), "got '5000 levels'; expected at most 32"),
        ((".".join("a" * 99) + "=1",), "got '99 levels'; expected at most 32"),
        (
            (f"args.a=[{','.join('a' * 5000)}]",),
            f"args.a: got '5,000 values'; expected at most {ITEMS:,} on the command line",
        ),
    ],
)
@pytest.mark.usefixtures("place")
def test_a_launch_beyond_a_limit(words: tuple[str, ...], problem: str) -> None:
    assert problem in told(*words)


@pytest.mark.usefixtures("place")
def test_within_the_limits_nothing_is_wrong() -> None:
    quoted = "args.b='" + "[," * 5000 + "'"
    fine = ("nodes=16", "processes_per_node=16", "distribution=torch", "cpus_per_process=2", "memory_gib=8")
    assert told(*fine, "args.a=" + "[" * 2 + "]" * 2, quoted, "wait=1", "compute.max_parallel=9") == ""


@pytest.mark.usefixtures("place")
def test_what_is_given_is_shown_in_part_where_it_is_long() -> None:
    assert "… (50,002 characters)" in told("name=" + "x" * 50000)
    assert len(told("name=" + "x" * 50000)) < 1000


SWEEPS: dict[tuple[str, ...], str] = {
    ("args.a=range(1,10000000)",): "-m: got 9999999; expected at most 10,000 members",
    (
        "args.a=range(100)",
        "args.b=range(100)",
        "args.c=1,2",
    ): "-m: got 20000; expected at most 10,000 members",
    ("args.a=range(0,1e308,1e-300)",): "expected at most 10,000 members",
    ("args.a=range(0,1,1e-9)",): "-m: got 1000000000; expected at most",
    ("args.a=shuffle(range(1,10000000))",): "-m: got 9999999; expected at most",
    (f"args.a=range({'9' * 99})",): "expected at most 10,000 members",
    ("args.a=range(0,1,0)",): "args.a: got 'range(0,1,0)'; expected a range that ends",
    ("args.a=range(0,inf)",): "args.a: got 'range(0,inf)'; expected a range that ends",
    ("args.a=range(nan,1)",): "expected a range that ends",
    ("args.a=range(5,1)",): "args.a: got 'range(5,1)'; expected at least one value",
}


@pytest.mark.parametrize("words", SWEEPS)
@pytest.mark.usefixtures("place")
def test_a_sweep_beyond_the_limit(words: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError) as error:
        load_sweep([*BASE, *words])
    assert SWEEPS[words] in str(error.value)


@pytest.mark.usefixtures("place")
def test_the_members_of_ranges_are_counted_right() -> None:
    words = ["args.a=range(10,0,-3)", "args.b=range(0,1,0.25)", "args.c=a,b"]
    seen: list[int] = []
    assert len(load_sweep([*BASE, *words], admit=lambda count, _: seen.append(count))) == 4 * 4 * 2
    assert seen == [32]


@pytest.mark.usefixtures("place")
def test_a_cluster_that_keeps_fewer_jobs() -> None:
    spec = load([*BASE, "compute=slurm"]).spec
    cluster = Cluster(partitions={}, default_partition=None, max_array=10, max_jobs=50)

    class Known(dict[str, Facts]):
        def get(self, key: str, default: Any = None) -> Any:
            del key, default
            return Facts(cluster=cluster)

    refuse_sweep(50, spec, Known())
    with pytest.raises(ConfigError, match=r"-m: got 51; expected at most 50 members \(MaxJobCount"):
        refuse_sweep(51, spec, Known())


def bomb(levels: int, width: int) -> str:
    lines = ["args:", f"  a0: &a0 [{','.join('x' * width)}]"]
    lines += [f"  a{at}: &a{at} [{','.join([f'*a{at - 1}'] * width)}]" for at in range(1, levels)]
    return "\n".join(lines)


def chain(levels: int, width: int) -> str:
    lines = [f"  a{at}: '{f'${{tags.a{at - 1}}}' * width}'" for at in range(1, levels)]
    return "\n".join(["tags:", "  a0: xxxxxxxxxx", *lines])


FILES = {
    "aliases": (
        bomb(9, 9),
        f"with its aliases written out the file has more than {VALUES:,} keys and values",
    ),
    "a list that holds itself": ("args: {a: &a [*a]}", "quick.yaml:2: this value contains itself"),
    "a mapping that holds itself": ("args: &a\n  b: {c: *a}", "quick.yaml:2: this value contains itself"),
    "a merge of itself": ("args: &a\n  <<: *a", "quick.yaml:2: this value contains itself"),
    "deep": (f"args:\n  a: {'[' * 200000}", "quick.yaml:3: there are more than 32 levels"),
    "deep blocks": (f"args:\n  a:\n    {'- ' * 900}b", "quick.yaml:4: there are more than 32 levels"),
    "many": (
        "tags:\n" + "".join(f"  t{at}: a\n" for at in range(VALUES)),
        f"the file has more than {VALUES:,} keys",
    ),
    "large": (f"description: {'x' * TEXT}", "the file is larger than 4 MiB"),
    "interpolations": (
        chain(10, 10),
        f"tags: got 'values that grow further'; expected at most {INTERPOLATIONS:,}",
    ),
    "a cycle": (
        "args: {a: '${args.b}', b: '${args.a}'}",
        "args.a: got '${args.b}'; expected a value that can",
    ),
    "itself": ("defaults: [quick]", "these defaults lead back to themselves"),
    "another": ("defaults: [/experiment/other]", "these defaults lead back to themselves"),
    "a switch": ("wait: 7", "wait: got 7; expected true or false"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_beyond_a_limit(place: Path, name: str) -> None:
    text, problem = FILES[name]
    folder = place / "conf" / "experiment"
    folder.mkdir(parents=True)
    (folder / "quick.yaml").write_text(f"# @package _global_\n{text}\n")
    (folder / "other.yaml").write_text("# @package _global_\ndefaults: [/experiment/quick]\n")
    assert problem in told("--config-dir", "conf", "experiment=quick")


def test_a_file_within_the_limits(place: Path) -> None:
    folder = place / "conf" / "experiment"
    folder.mkdir(parents=True)
    text = "tags:\n  a: &a b\n  b: *a\n  c: ${tags.a}${tags.b}\n"
    (folder / "quick.yaml").write_text(f"# @package _global_\n{text}")
    request = load([*BASE, "--config-dir", "conf", "experiment=quick"])
    assert request.spec.tags == {"a": "b", "b": "b", "c": "bb"}


def test_a_fifo_in_the_place_of_a_file_is_not_read(place: Path) -> None:
    (place / "conf").mkdir()
    os.mkfifo(place / "conf" / "config.yaml")
    os.mkfifo(place / "environment.yaml")
    assert told("--config-dir", "conf") == ""  # Hydra finds no file there, and the installed one counts
    words = ("environment=packages", "environment.environment_file=environment.yaml")
    assert "environment.environment_file: got" in told(*words)
    words = ("environment=packages", "environment.requirements_file=environment.yaml")
    assert "environment.requirements_file: got" in told(*words)
    assert read([place / "environment.yaml"]).lines == []  # also before the checks, for an MPI of its own


def test_aliases_in_a_conda_environment_file(place: Path) -> None:
    for text in (
        bomb(9, 9).replace("args:", "dependencies:"),
        "dependencies: &a [*a]",
        "dependencies: " + "[" * 9999,
    ):
        (place / "environment.yaml").write_text(text)
        problem = told("environment=packages", "environment.environment_file=environment.yaml")
        assert "environment.environment_file: got" in problem
        assert len(problem) < 2000


# --- every number of the schema and of the commands, also those to come --------------------------------


def numbers(option: type, prefix: str) -> Iterator[tuple[str, bool]]:
    """Yield the key of each number below an option class, and whether it is one of a mapping."""
    hints = get_type_hints(option)
    for field in fields(option):
        hint = hints[field.name]
        if is_dataclass(hint):
            yield from numbers(cast("type", hint), f"{prefix}{field.name}.")
        elif hint in {int, float} or {int, float} & set(get_args(hint)):
            yield f"{prefix}{field.name}", "dict" in str(hint)


OPTIONS = sorted(
    {
        (f"{group}={name}" if group else "", key, many)
        for group, name, option in schemas()
        if name != "framework"
        for key, many in numbers(option, f"{group}." if group else "")
    }
)
HOSTILE = ("-5", "nan", "inf", "-inf", "1e300", "9" * 400, "''", "' '", "x" * 9999, "'a\tb'", "[1]", "{a: 1}")
"""No number of the configuration takes one of these. What is legal stands in docs/configuration.md: the range
itself, and `0` where a range begins with it."""


@pytest.mark.parametrize(("choice", "key", "many"), OPTIONS)
@pytest.mark.usefixtures("place")
def test_every_number_has_a_range(choice: str, key: str, many: bool) -> None:
    limits = NUMBERS[key]
    name = f"+{key}.a" if many else key
    choices = [choice] if choice else []
    values = [*HOSTILE, *(["0"] if limits.least > 0 or limits.above else [])]
    for value in values:
        problems = told(*choices, f"{name}={value}").splitlines()
        assert any(line.startswith(name.lstrip("+")) for line in problems), (key, value[:20], problems[:3])


def test_every_range_is_in_the_docs() -> None:
    text = DOCS.read_text()
    for key, limits in NUMBERS.items():
        row = next(line for line in text.splitlines() if line.startswith(f"| `{key}`") and "to " in line)
        most = "2^63-1" if limits.most == 2**63 - 1 else f"{limits.most:,}"
        assert most in row, key
    assert f"{MEMBERS:,} members" in text


def flags() -> Iterator[tuple[str, argparse.Action]]:
    for noun, command in COMMANDS.items():
        for verb in command.verbs or [""]:
            for action in parser_of(noun, verb)._actions:  # pyright: ignore[reportPrivateUsage]  # it has no public name
                yield f"{noun} {verb}", action


def test_every_number_of_a_command_has_a_range() -> None:
    read = 0
    for where, action in flags():
        assert action.type not in {int, float}, f"{where} {action.dest}: use number()"
        if action.type in {None, Path, open_store}:
            continue
        take = cast("Any", action.type)
        for value in (
            "-1",
            "nan",
            "inf",
            "-inf",
            "1e300",
            "9" * 400,
            "",
            " ",
            "1_0",
            "x" * 9999,
            "1\t",
            "٣",
            "0x1",
        ):
            with pytest.raises(ConfigError, match="expected"):
                take(value)
        read += 1
    assert read >= len(FLAGS)
