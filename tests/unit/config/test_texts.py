"""Every text of the configuration is refused in one clear problem, or arrives as it was written."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any, cast, get_type_hints

import pytest
import yaml

from launcher.__main__ import main
from launcher.agent.base import atomic_json
from launcher.checks import check
from launcher.config.load import load
from launcher.config.overrides import quote
from launcher.config.schema import GROUPS, schemas
from launcher.errors import ConfigError
from launcher.facts import Cluster, Engine, Facts, Mpi
from launcher.spec import plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from launcher.spec import LaunchRequest

BASE = ("framework=python", "environment=current", "data=none", "source=src", "script=x.py")
FACTS = Facts(
    cpus=2,
    memory_mib=8192,
    mpi=Mpi(mpirun="/usr/bin/mpirun", flavour="openmpi", version="4.1"),
    cluster=Cluster(partitions={}, default_partition=None, max_array=10),
    engine=Engine(cpus=2, memory_mib=8192),
)

BAD = {
    "empty": "",
    "blank": " ",
    "zero": "a\0b",
    "zero in a path": "/a\0b",
    "lines": "a\nb",
    "control": "a\x1bb",
    "dash": "-x",
    "long": "x" * 10_000,
    "long path": "/" + "x" * 10_000,
    "deep": "x/" * 2_000,
    "above": "..",
    "absolute": "/etc",
    "bytes": "a\udce9",
    "half": "a\ud800",
}

PLAIN = {"dash", "long", "long path", "deep", "above", "absolute"}
"""What arrives as any text of one line."""
ARGUMENT = PLAIN | {"empty", "blank", "lines", "control", "bytes"}
OPTION = ARGUMENT - {"empty", "blank", "bytes"}
SHELL = ARGUMENT - {"bytes"}
NOTHING: set[str] = set()
BUILDS = ("environment=packages", "compute=docker")
IMAGE = ("environment=image", "compute=docker", "environment.image=a:1")
DOCKER = ("environment=packages", "compute=docker")
SLURM = ("compute=slurm",)
BOXED = ("compute=slurm", "compute.container.image=a", "compute.container.runtime=apptainer")
LOGIN = (
    *BUILDS,
    "environment.registry.address=a",
    "environment.registry.username=b",
    "environment.registry.password='${secret:PATH}'",
)

TEXTS: dict[str, tuple[tuple[str, ...], set[str]]] = {
    "name": ((), NOTHING),
    "description": ((), PLAIN | {"empty", "blank", "lines"}),
    "tags.a": ((), PLAIN | {"empty", "blank"}),
    "source": (("script=null", "command=[true]"), {"above", "absolute"}),
    "script": ((), NOTHING),
    "args.aa": ((), ARGUMENT),
    "args_style": ((), NOTHING),
    "command[]": (("script=null",), ARGUMENT - {"empty"}),
    "cwd": ((), NOTHING),
    "stdin": ((), NOTHING),
    "env.A": ((), ARGUMENT),
    "work": ((), NOTHING),
    "links[]": ((), NOTHING),
    "objective": ((), PLAIN),
    "store": ((), {"dash", "above", "absolute", "bytes"}),
    "framework.version": (("framework=pytorch", "environment=packages"), NOTHING),
    "compute.mounts[]": (DOCKER, NOTHING),
    "compute.mpi": (DOCKER, NOTHING),
    "compute.capabilities[]": (DOCKER, {"long"}),
    "compute.devices[]": (DOCKER, {"absolute", "long path"}),
    "compute.partition": (SLURM, PLAIN),
    "compute.account": (SLURM, PLAIN),
    "compute.qos": (SLURM, PLAIN),
    "compute.constraint": (SLURM, PLAIN),
    "compute.nodelist": (SLURM, PLAIN),
    "compute.exclude": (SLURM, PLAIN),
    "compute.reservation": (SLURM, PLAIN),
    "compute.dependency": (SLURM, PLAIN),
    "compute.comment": (SLURM, PLAIN),
    "compute.mail_type": (SLURM, PLAIN),
    "compute.mail_user": (SLURM, PLAIN),
    "compute.gres": (SLURM, PLAIN),
    "compute.gpu_type": (SLURM, {"dash", "long", "above"}),
    "compute.setup[]": (SLURM, SHELL),
    "compute.teardown[]": (SLURM, SHELL),
    "compute.export": (SLURM, PLAIN),
    "compute.python": (SLURM, {"above", "absolute", "bytes"}),
    "compute.interface": (SLURM, NOTHING),
    "compute.ports": (SLURM, NOTHING),
    "compute.srun_args[]": (SLURM, OPTION),
    "compute.container.image": (SLURM, {"above", "absolute", "bytes"}),
    "compute.container.mounts[]": (BOXED, NOTHING),
    "compute.container.options[]": ((*SLURM, "compute.container.image=a"), OPTION),
    "compute.container.wrap[]": (BOXED, SHELL - {"empty", "blank"}),
    "compute.container.mpi": (BOXED, NOTHING),
    "compute.additional_parameters.a": (SLURM, PLAIN),
    "distribution.mpi_args[]": (("distribution=mpi",), OPTION),
    "environment.python": (("environment=packages",), NOTHING),
    "environment.pip_packages[]": (("environment=packages",), {"long"}),
    "environment.requirements_file": (("environment=packages",), NOTHING),
    "environment.conda_packages[]": (("environment=packages",), {"above", "absolute"}),
    "environment.environment_file": (("environment=packages",), NOTHING),
    "environment.channels[]": (("environment=packages",), {"above", "absolute"}),
    "environment.torch_backend": (("environment=packages",), NOTHING),
    "environment.skip_imports[]": (("environment=packages",), {"long"}),
    "environment.build_on": (("environment=packages",), NOTHING),
    "environment.stage": (("environment=packages",), NOTHING),
    "environment.base_image": (BUILDS, NOTHING),
    "environment.apt_packages[]": (BUILDS, {"long"}),
    "environment.dockerfile_lines[]": (BUILDS, PLAIN | {"empty", "blank"}),
    "environment.push": (BUILDS, NOTHING),
    "environment.registry.address": (LOGIN, {"long"}),
    "environment.registry.username": (LOGIN, PLAIN),
    "environment.registry.password": (LOGIN, NOTHING),
    "environment.image": (IMAGE, NOTHING),
    "environment.python of an image": (IMAGE, {"above", "absolute", "bytes"}),
    "data.inputs.a.uri": ((), {"above", "absolute"}),
    "data.inputs.a.mode": (("+data.inputs.a.uri=src",), NOTHING),
    "data.inputs.a.files": (("+data.inputs.a.uri=src",), {"empty", "blank"}),
    "data.inputs.a.at": (
        ("+data.inputs.a.uri=src",),
        {"empty", "blank", "control", "lines", "dash"},
    ),
    "data.inputs.a.layout": (("+data.inputs.a.uri=src",), {"empty"}),
}
"""By key: the words that it needs, and the names of the bad texts that arrive."""


def texts(option: type, prefix: str) -> Iterator[str]:
    """Yield the key of each text below an option class; `[]` stands after that of a list."""
    hints = get_type_hints(option)
    for field in fields(option):
        hint, key = hints[field.name], f"{prefix}{field.name}"
        if is_dataclass(hint):
            yield from texts(cast("type", hint), f"{key}.")
        elif key in GROUPS or key.startswith("example."):
            continue  # choices, and what comes with this package
        elif key == "data.inputs":
            yield from (f"{key}.a.{name}" for name in ("uri", "mode", "files", "at", "layout"))
        elif "str" in str(hint) or "Any" in str(hint):
            if "dict" not in str(hint):
                yield f"{key}[]" if "list" in str(hint) else key
            elif "int" not in str(hint):
                yield next((each for each in TEXTS if each.rpartition(".")[0] == key), f"{key}.?")


SCHEMA = [
    key
    for group, choice, option in schemas()
    for key in texts(option, f"{group}." if group else {"framework": "framework."}.get(choice, ""))
    if key != "framework.name"
]


def test_every_text_is_in_the_table() -> None:
    assert set(SCHEMA) == {key.partition(" ")[0] for key in TEXTS}


def words_of(key: str, text: str) -> list[str]:
    needed, _ = TEXTS[key]
    name = key.partition(" ")[0]
    value = f"[{quote(text)}]" if name.endswith("[]") else quote(text)
    sign = "+" if name.startswith("data.inputs") else ""
    return [*BASE, *needed, f"{sign}{name.removesuffix('[]')}={value}"]


def found(key: str, values: Mapping[str, Any]) -> object:
    """Return what is there under a key, in a configuration or a spec."""
    value: Any = values
    for part in key.partition(" ")[0].removesuffix("[]").split("."):
        value = value[part]
    return value


def assert_arrives(key: str, text: str, request: LaunchRequest) -> None:
    expected: object = [text] if key.endswith("[]") else text
    spec = json.loads(atomic_json.seal(plain(request.spec)))
    if key == "args.aa":
        assert spec["args"] == (["--aa", text] if text else ["--aa"])
    elif key == "store":
        assert str(request.store) in {text, f"{request.spec.source.parent}/{text}"} or text == ".."
    elif key not in {"source", "data.inputs.a.uri"}:  # absolute paths by then
        assert found(key, spec) == expected
    assert found(key, yaml.safe_load(request.config)) == expected


@pytest.mark.parametrize("key", TEXTS)
@pytest.mark.usefixtures("place")
def test_every_text_arrives_or_is_refused(key: str) -> None:
    _, arriving = TEXTS[key]
    name = key.partition(" ")[0].removesuffix("[]")
    for kind, text in BAD.items():
        try:
            request = load(words_of(key, text))
            problems = list(map(str, check(request.spec, FACTS)))
        except ConfigError as error:
            problems = list(map(str, error.problems))
            request = None
        if kind in arriving:
            assert (kind, problems) == (kind, [])
            assert request is not None
            assert_arrives(key, text, request)
        else:
            assert (kind, len(problems)) == (kind, 1), problems
            assert problems[0].startswith(
                (f"{name}: got ", f"{name}[0]: got ", "args[1]: got ", "data.inputs.a.uri: got ")
            ), kind
            assert len(problems[0]) < 1500


@pytest.mark.parametrize("key", TEXTS)
def test_what_is_refused_writes_nothing(key: str, place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    _, arriving = TEXTS[key]
    name = key.partition(" ")[0].removesuffix("[]")
    before = sorted(place.rglob("*"))
    assert "zero" not in arriving
    assert main(words_of(key, BAD["zero"])) == 2
    error = capfd.readouterr().err
    assert f"{name}: got" in error or f"{name}[" in error or "args[1]: got" in error
    assert "Traceback" not in error
    assert sorted(place.rglob("*")) == before


NAMES = {
    "args": ((), PLAIN | {"lines", "control"}),
    "tags": ((), NOTHING),
    "env": ((), {"long"}),
    "compute.ulimits": (DOCKER, NOTHING),
    "compute.additional_parameters": (SLURM, {"long"}),
    "data.inputs": ((), NOTHING),
}


@pytest.mark.parametrize("key", NAMES)
def test_every_name_that_a_mapping_takes(key: str, place: Path) -> None:
    needed, arriving = NAMES[key]
    value = {"compute.ulimits": "1", "data.inputs": "{uri: src}"}.get(key, "v")
    folder = place / "conf" / "experiment"
    folder.mkdir(parents=True)
    group, _, last = key.rpartition(".")
    short = {kind: text[:1000] for kind, text in BAD.items()}  # YAML takes no longer keys
    for kind, text in short.items():
        entry = f"{last}: {{{json.dumps(text)}: {value}}}"
        lines = f"{group}:\n  {entry}" if group else entry
        (folder / "quick.yaml").write_text(f"# @package _global_\n{lines}\n")
        try:
            spec = load([*BASE, *needed, "--config-dir", "conf", "experiment=quick"]).spec
            problems = list(map(str, check(spec, FACTS)))
        except ConfigError as error:
            problems, spec = list(map(str, error.problems)), None
        if kind in arriving:
            assert (kind, problems) == (kind, [])
            assert spec is not None
            named: Any = spec.args if key == "args" else found(key, plain(spec))
            assert (f"--{text}" if key == "args" else text) in named
        else:
            assert (kind, len(problems)) == (kind, 1), problems
            assert problems[0].startswith(
                (key, "conf/experiment/quick.yaml:2: got", "conf/experiment/quick.yaml:3: got")
            ), problems


def test_a_store_of_the_surroundings_is_checked_too(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAUNCHER_STORE", str(place / "a\nb"))
    with pytest.raises(ConfigError, match="store: got"):
        load(BASE)
