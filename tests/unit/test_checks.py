"""Every problem that the checks find, one case each."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from launcher.checks import check
from launcher.compute.containers import Container
from launcher.compute.docker import Docker
from launcher.compute.local import Local
from launcher.compute.slurm.target import Slurm
from launcher.data import Inputs
from launcher.distribution import Single
from launcher.environment import Current, Image, Packages
from launcher.facts import Facts
from launcher.spec import Resources, RunSpec

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def spec(tmp_path: Path) -> RunSpec:
    source = tmp_path / "src"
    (source / "folder").mkdir(parents=True)
    (source / "train.py").touch()
    (tmp_path / "outside.py").touch()
    (source / "link.py").symlink_to(tmp_path / "outside.py")
    (source / "inner.py").symlink_to(source / "train.py")
    return RunSpec(
        name="mnist",
        source=source,
        script="train.py",
        distribution=Single(),
        environment=Current(),
        data=Inputs(),
        compute=Local(),
    )


def found(spec: RunSpec, **changes: Any) -> list[str]:
    return [str(problem) for problem in check(dataclasses.replace(spec, **changes), Facts(cpus=2))]


def test_nothing_is_wrong(spec: RunSpec) -> None:
    assert found(spec) == []
    assert (
        found(spec, script="inner.py", name="a" * 100, retries=3, work="copy", tags={"team/a": "x y"}) == []
    )
    assert found(spec, script=None, command=("true",), env={"_X1": "a b"}, name="0.a-b_c") == []


def test_links_are_paths_of_the_source(spec: RunSpec) -> None:
    (spec.source / "data").mkdir()
    assert found(spec, links=("data", "folder", "train.py")) == []
    outside = "a path in the source folder, relative to it"
    for link in ("/data", "..", "../x", ".", ".git"):
        assert found(spec, links=(link,)) == [f"links[0]: got {link!r}; expected {outside}"]
    assert "every run has its own logs" in found(spec, links=("logs/x",))[0]
    assert "none inside another" in found(spec, links=("folder", "folder/x"))[0]
    [problem] = found(spec, links=("dat",))
    assert "links[0]: got 'dat'; expected a folder or file that exists in" in problem
    assert "Did you mean data?" in problem


def test_a_word_that_commands_take_for_an_id_is_no_name(spec: RunSpec) -> None:
    assert found(spec, name="latest") == [
        "name: got 'latest'; expected another name. Commands take this word for the newest run"
    ]
    assert found(spec, name="latest-2") == []


NAMES = ["", "..", ".a", "-a", "a/b", "a b", "a" * 101, "ä", "a\n", "../x"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_one_folder(name: str, spec: RunSpec) -> None:
    [problem] = found(spec, name=name)
    assert problem.startswith(f"name: got {name!r}; expected letters, digits")


SCRIPTS = {
    "zzz": "script: got 'zzz'; expected a file in {source}: inner.py, link.py, train.py",
    "trian.py": (
        "script: got 'trian.py'; expected a file in {source}: inner.py, link.py, train.py. "
        "Did you mean train.py?"
    ),
    "folder": "script: got 'folder'; expected a file; this is a folder",
    "../outside.py": (
        "script: got '../outside.py'; expected a file inside {source}. Set source to the folder that holds it"
    ),
    "link.py": (
        "script: got 'link.py'; expected a file inside {source}. Set source to the folder that holds it"
    ),
    "/etc/passwd": (
        "script: got '/etc/passwd'; expected a file inside {source}. Set source to the folder that holds it"
    ),
    "": "script: got ''; expected a file in the source folder",
    "a\0b": (
        "script: got 'a\\x00b'; "
        "expected a path without a zero byte, of at most 255 bytes between slashes and 2,047 in all"
    ),
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_is_a_file_in_the_source(script: str, spec: RunSpec) -> None:
    assert found(spec, script=script) == [SCRIPTS[script].replace("{source}", str(spec.source))]


def test_a_missing_source_says_how_to_get_one(spec: RunSpec) -> None:
    gone = spec.source.with_name("gone")
    [problem] = found(spec, source=gone)
    assert problem == (
        f"source: got {str(gone)!r}; expected a folder that exists. "
        "Run it inside a project, or make one: python -m launcher init DIR"
    )
    [problem] = found(spec, source=spec.source / "train.py", script=None, command=("true",))
    assert "expected a folder; there is a file" in problem


def test_either_script_or_command(spec: RunSpec) -> None:
    assert found(spec, command=("true",)) == [
        "command: got ['true']; expected either command or script. Try script=null"
    ]
    [problem] = found(spec, script=None)
    assert problem.endswith("framework=python distribution=single has no example")
    assert found(spec, script=None, command=("",)) == ["command[0]: got ''; expected a program"]


RESOURCES: dict[str, Any] = {
    "nodes": 0,
    "processes_per_node": -1,
    "gpus_per_node": -1,
    "cpus_per_process": 0,
    "memory_gib": 0.0,
    "time_limit_min": float("inf"),
}


@pytest.mark.parametrize("key", RESOURCES)
def test_counts(key: str, spec: RunSpec) -> None:
    problems = found(spec, resources=Resources(**{key: RESOURCES[key]}))
    assert any(problem.startswith(f"{key}: got {RESOURCES[key]}; expected") for problem in problems)


CHANGES: list[tuple[dict[str, Any], str]] = [
    ({"retries": -1}, "retries: got -1; expected a whole number from 0"),
    ({"snapshot_limit_mib": -5.0}, "snapshot_limit_mib: got -5.0; expected a number greater than 0"),
    ({"work": "copi"}, "work: got 'copi'; expected link or copy. Did you mean copy?"),
    (
        {"env": {"1X": "a"}},
        "env.1X: got 'a'; expected a variable named with letters, digits and '_', not beginning with a digit",
    ),
    (
        {"env": {"LAUNCHER_RUN": "a"}},
        "env.LAUNCHER_RUN: got 'a'; expected another name: LAUNCHER_… are the launcher's own",
    ),
    (
        {"env": {"X": "\0"}},
        "env.X: got '\\x00'; expected a text without a zero byte: no program can be given one",
    ),
    (
        {"tags": {"a b": "x"}},
        "tags.a b: got 'x'; expected a tag named with letters, digits, '_', '.', '/' and '-'",
    ),
    ({"tags": {"a": "x\ny"}}, "tags.a: got 'x\\ny'; expected a text of one line"),
    (
        {"args": ("\0",)},
        "args[0]: got '\\x00'; expected a text without a zero byte: no program can be given one",
    ),
    (
        {"args": ("@{data.x}",)},
        "args: got '${data:x}'; expected an input; this data has none. See data.inputs",
    ),
    (
        {"args": ("@{data.digit}",), "data": Inputs(inputs={"digits": {"uri": "launcher:digits"}})},
        "args: got '${data:digit}'; expected one of digits. Did you mean digits?",
    ),
]


@pytest.mark.parametrize(("changes", "problem"), CHANGES)
def test_the_rest(changes: dict[str, Any], problem: str, spec: RunSpec) -> None:
    assert found(spec, **changes) == [problem]


def test_secrets_have_a_value_and_their_file_is_not_copied(spec: RunSpec) -> None:
    facts = Facts(
        cpus=2, unknown_secrets={"B": "a value: somewhere"}, secrets_file=spec.source / "folder" / "secrets"
    )
    asked = dataclasses.replace(spec, env={"X": "@{secret.A}/@{secret.B}", "Y": "@{secret.A}"})
    told = f"a folder without {facts.secrets_file}: it is copied into the store"
    assert [str(problem) for problem in check(asked, facts)] == [
        "env.X: got '${secret:B}'; expected a value: somewhere",
        f"source: got '{spec.source}'; expected {told}. Move it, and name it by LAUNCHER_SECRETS",
    ]


def test_everything_is_told_at_once_with_what_the_options_say(spec: RunSpec) -> None:
    problems = found(
        spec,
        name="..",
        retries=-1,
        resources=Resources(nodes=2, gpus_per_node=1),
        data=Inputs(inputs={"a": {"uri": "launcher:nope"}}),
        compute=Local(max_parallel=0),
    )
    keys = [problem.split(":")[0] for problem in problems]
    assert keys == ["name", "retries", "compute.max_parallel", "nodes", "data.inputs.a.uri", "gpus_per_node"]


def test_texts_that_are_no_utf_8(spec: RunSpec) -> None:
    odd, half = "caf\udce9", "\ud800"
    assert found(spec, script=None, command=("true", odd), args=(odd,), env={"A": odd}) == []
    texts = [*found(spec, description=odd), *found(spec, objective=odd), *found(spec, tags={"a": odd})]
    assert [text.partition("; ")[2] for text in texts] == ["expected a text in UTF-8"] * 3
    assert [text.partition(":")[0] for text in texts] == ["description", "objective", "tags.a"]
    [problem] = found(spec, args=(half,))
    assert problem.startswith(f"args[0]: got {half!r}; expected whole characters")
    python = dataclasses.replace(spec, environment=Packages(python=odd, pip_packages=["six", odd]))
    keys = [text.partition(":")[0] for text in found(python) if "UTF-8" in text]
    assert keys == ["environment.pip_packages[1]"]


def test_a_container_engine_takes_utf_8_alone(spec: RunSpec) -> None:
    odd = "caf\udce9"
    docker = dataclasses.replace(spec, compute=Docker(), environment=Image(image="a:1"))
    keys = [text.partition(":")[0] for text in found(docker, args=(odd, "a"), env={"A": odd, "B": "b"})]
    assert keys == ["args", "env.A"]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"cwd": "folder"}, None),
        ({"cwd": "folder/no"}, "cwd: got 'folder/no'; expected a folder inside"),
        ({"cwd": ""}, "cwd: got ''; expected a folder inside"),
        ({"cwd": "../src/folder"}, "cwd: got '../src/folder'; expected a folder inside"),
        ({"cwd": "/tmp"}, "cwd: got '/tmp'; expected a folder inside"),
        ({"cwd": "train.py"}, "cwd: got 'train.py'; expected a folder inside"),
        ({"cwd": "aside"}, "It is ignored or a link"),
        ({"cwd": "outputs"}, "cwd: got 'outputs'; expected a folder other than outputs and logs"),
        ({"stdin": "train.py"}, None),
        ({"stdin": "inner.py"}, None),
        ({"stdin": "/etc/passwd"}, None),
        ({"stdin": "/etc"}, "stdin: got '/etc'; expected a file that you can read"),
        ({"stdin": "/no"}, "stdin: got '/no'; expected a file that you can read"),
        ({"stdin": "trai.py"}, "Did you mean train.py?"),
        ({"stdin": "folder"}, "stdin: got 'folder'; expected a file inside"),
        ({"stdin": "../outside.py"}, "stdin: got '../outside.py'; expected a file inside"),
        ({"stdin": "a.ignored"}, "It is ignored, and so not part of the run"),
        ({"stdin": "a\0"}, "expected a path without a zero byte"),
        ({"stdin": ""}, "stdin: got ''; expected the path of a file"),
        (
            {"stdin": "/etc/passwd", "compute": Slurm(container=Container(image="image"))},
            "expected a path relative to the source, with a container",
        ),
    ],
)
def test_where_processes_start_and_what_they_read(
    spec: RunSpec, changes: dict[str, Any], problem: str | None
) -> None:
    (spec.source / "aside").symlink_to("folder")
    (spec.source / "a.ignored").touch()
    (spec.source / ".gitignore").write_text("*.ignored\n")
    texts = [text for text in found(spec, **changes) if text.startswith(("cwd", "stdin"))]
    assert len(texts) == (problem is not None)
    assert all(problem in text for text in texts if problem)


def test_a_script_that_python_does_not_run(spec: RunSpec) -> None:
    (spec.source / "run.sh").write_text("echo hi\n")
    [problem] = found(spec, script="run.sh")
    assert problem == (
        "script: got 'run.sh'; expected a Python script; this is a script of bash. "
        "Write command=[bash,run.sh] instead of script"
    )
    (spec.source / "folder" / "prog").write_bytes(b"\x7fELF\x02\x01")
    [problem] = found(spec, script="folder/prog")
    assert problem.endswith("this is a compiled program. Write command=[./folder/prog] instead of script")
