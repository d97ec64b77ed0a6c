"""What a configuration means: arguments, places, options."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf

from launcher.config.load import load
from launcher.environment import Packages
from launcher.errors import ConfigError

BASE = ["framework=python", "data=none", "source=src", "script=x.py"]

ARGS = {
    "args.lr=0.1": ("--lr", "0.1"),
    "args.a-long_name=v": ("--a-long_name", "v"),
    "args.x=3": ("-x", "3"),
    "args.flag=": ("--flag",),
    "args.flag=''": ("--flag",),
    "args.flag=true": ("--flag",),
    "args.flag=false": (),
    "args.flag=null": (),
    "args.zero=0": ("--zero", "0"),
    "args.many=[1,two,3.5,true]": ("--many", "1", "two", "3.5", "true"),
    "args.none=[]": ("--none",),
    "args.text='a b  c'": ("--text", "a b  c"),
    "args.text='$HOME;`ls`'": ("--text", "$HOME;`ls`"),
    "args.text='-5'": ("--text", "-5"),
    "args.text='true'": ("--text", "true"),
    "args.small=1e-05": ("--small", "1e-05"),
    "args.nodes=${nodes}": ("--nodes", "1"),
    "args.joined=a/${name}/b": ("--joined", "a/mnist/b"),
    "args.input=${data:mine}/x": ("--input", "@{data.mine}/x"),
    "args={b:1,a:2}": ("-b", "1", "-a", "2"),
}


@pytest.mark.parametrize("word", ARGS)
def test_args_become_an_argument_vector(word: str, place: Path) -> None:
    assert load([*BASE, word], place).spec.args == ARGS[word]


SECRETS = {
    "env.KEY=${secret:A_1}": "@{secret.A_1}",
    "env.KEY=u:${secret:A}@${secret:B}": "u:@{secret.A}@@{secret.B}",
    "env={KEY: '${secret:${name}}'}": "@{secret.mnist}",
    "+env.KEY=${secret:a}": "@{secret.a}",
}


@pytest.mark.parametrize("word", SECRETS)
def test_a_secret_is_a_name_until_a_process_has_it(
    word: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("A", "A_1", "B", "a", "mnist"):
        monkeypatch.setenv(name, "hidden")
    request = load([*BASE, word], place)
    assert request.spec.env == {"KEY": SECRETS[word]}
    assert yaml.safe_load(request.config)["env"] == {"KEY": SECRETS[word]}
    assert "hidden" not in repr(request)


MISPLACED = {
    "args.key=${secret:A}": "args.key: got '${secret:A}'",
    "args.key=${env.KEY}": "args.key: got '${secret:K}'",
    "command=[ls,-l,'${secret:A}']": "command[2]: got '${secret:A}'",
    "name=${secret:A}": "name: got '${secret:A}'",
    "tags.a=b${secret:A}": "tags.a: got 'b${secret:A}'",
    "description='@{secret.A}'": "description: got '${secret:A}'",
    "store=x/${secret:A}": "store: got 'x/${secret:A}'",
    "links=['${secret:A}']": "links[0]: got '${secret:A}'",
    "args.db='postgres://u:pw@h/x'": "args.db: got 'postgres://***@h/x'",
    "command=[curl,'https://h/x?b=1&sig=pw']": "command[1]: got 'https://h/x?b=1&sig=***'",
    "tags.a=https://token@h/x": "tags.a: got 'https://***@h/x'",
}


@pytest.mark.parametrize("word", MISPLACED)
def test_a_secret_stands_in_env_alone(word: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", os.environ.copy())
    with pytest.raises(ConfigError) as error:
        load([*BASE, "env.KEY=${secret:K}", word], place)
    told = "expected a value without a secret, which can only be given to a process by env.NAME"
    assert str(error.value) == f"{MISPLACED[word]}; {told}"


@pytest.mark.parametrize("name", ["", "a.b", "1a", "a,b", "a b", "A-B"])
def test_what_names_no_secret(name: str, place: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"^env.KEY: got .*: a secret is named with letters, digits and '_'"
    ):
        load([*BASE, f"env.KEY=${{secret:{name}}}"], place)


def test_the_order_of_args_is_kept(place: Path) -> None:
    spec = load([*BASE, "args.b=1", "args.a=2", "args.c=3", "args.b=4"], place).spec
    assert spec.args == ("-b", "4", "-a", "2", "-c", "3")


def test_a_command_takes_the_place_of_a_script(place: Path) -> None:
    spec = load(["framework=python", "command=[make, -j, 2.10]", "args.x=1"], place).spec
    assert (spec.script, spec.program) == (None, ("make", "-j", "2.10", "-x", "1"))


def test_text_is_what_was_typed(place: Path) -> None:
    words = ["name=007", "framework.version=2.10", "tags.a=1.0", "env.X=0x10", "env.Y=1e3", "tags={b: 1_0}"]
    spec = load([*BASE, *words], place).spec
    assert (spec.name, spec.framework.version) == ("007", "2.10")
    assert (spec.tags, spec.env) == ({"a": "1.0", "b": "1_0"}, {"X": "0x10", "Y": "1e3"})


def test_options_are_objects_of_the_choice(place: Path) -> None:
    words = [
        "distribution=parameter_server",
        "distribution.chief=worker0",
        "distribution.parameter_server_count=2",
    ]
    options = load([*BASE, *words], place).spec.distribution
    assert (options.kind, getattr(options, "parameter_server_count", None)) == ("parameter_server", 2)
    assert str(getattr(options, "chief", None)) == "worker0"


def test_the_recorded_configuration_reads_back_as_it_was(place: Path) -> None:
    words = [
        "env.Y=1e3",
        "tags.a=007",
        "args.t=${now:%Y}",
        "args.n=2.50",
        "description='a: b #c'",
        "distribution=mpi",
    ]
    text = load([*BASE, *words], place).config
    for values in (yaml.safe_load(text), OmegaConf.to_container(OmegaConf.create(text))):
        assert isinstance(values, dict)
        assert (values["env"], values["tags"]) == ({"Y": "1e3"}, {"a": "007"})
        assert values["args"]["n"] == 2.5
        assert values["description"] == "a: b #c"
    assert text.startswith("# compute=local data=none distribution=mpi environment=current example=")


def test_places_outside_a_project(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    request = load(BASE, place)
    assert (request.spec.source, request.store) == (place / "src", place / "store")
    monkeypatch.setenv("LAUNCHER_STORE", str(place / "shared"))
    assert load(BASE, place).store == place / "shared"
    assert load([*BASE, "store=mine"], place).store == place / "mine"


def test_places_of_a_project_hold_in_its_subfolders(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "pyproject.toml").write_text('[tool.launcher]\nstore = "runs"\n')
    (place / "src" / "deep").mkdir()
    monkeypatch.chdir(place / "src" / "deep")
    request = load([*BASE, "data.inputs.a.uri=files", "data.inputs.b.uri=/abs", "data.inputs.c.uri=s3://x/y"])
    assert (request.spec.source, request.store) == (place / "src", place / "runs")
    inputs = getattr(request.spec.data, "inputs", {})
    assert [each["uri"] for each in inputs.values()] == [str(place / "files"), "/abs", "s3://x/y"]


def test_now_and_hydra_are_resolved(place: Path) -> None:
    spec = load([*BASE, "args.a=${hydra:job.name}", "args.b=${now:%Y}"], place).spec
    assert spec.args[:3] == ("-a", "launcher", "-b")
    assert len(spec.args[3]) == 4
    with pytest.raises(ConfigError, match="hydra/launcher"):
        load([*BASE, "hydra/launcher=nope"], place)


@pytest.mark.parametrize(
    ("typed", "items"),
    [
        ("[numpy==2.1]", ["numpy==2.1"]),
        ("[numpy==2.1, six<2,pandas[excel,test]>=1]", ["numpy==2.1", "six<2", "pandas[excel,test]>=1"]),
        ('["numpy==2.1",six]', ["numpy==2.1", "six"]),
    ],
)
def test_requirements_need_no_quotes_in_a_list(place: Path, typed: str, items: list[str]) -> None:
    base = [word for word in BASE if not word.startswith("environment=")]
    spec = load([*base, "environment=packages", f"environment.pip_packages={typed}"], place).spec
    assert isinstance(spec.environment, Packages)
    assert spec.environment.pip_packages == items
