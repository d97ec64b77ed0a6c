"""The installed configuration: every choice composes, and every default is what the docs say."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import pytest

from launcher.checks import DATA
from launcher.config.compose import installed_conf
from launcher.config.load import load
from launcher.config.schema import GROUPS, Launch, schemas
from launcher.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

CONF = installed_conf()
CHOICES = sorted(str(file.relative_to(CONF).with_suffix("")) for file in CONF.glob("*/*.yaml"))


@pytest.mark.parametrize("choice", CHOICES)
def test_every_choice_composes(choice: str, place: Path) -> None:
    group, name = choice.split("/")
    needed = ["data.inputs.mnist.uri=/x"] if choice == "data/mnist" else []
    request = load([f"{group}={name}", *needed], place)
    assert f"{group}={name}" in request.config.splitlines()[0]


def test_every_option_class_is_a_choice_of_its_group() -> None:
    named = {(group, name) for group, name, _ in schemas() if group not in {None, "data"}}
    assert named == {tuple(choice.split("/")) for choice in CHOICES if choice.split("/")[0] in GROUPS} - {
        tuple(choice.split("/")) for choice in CHOICES if choice.startswith(("data/", "framework/"))
    }


def test_the_defaults_are_those_of_the_documented_table(place: Path) -> None:
    request = load([], place)
    spec, resources = request.spec, request.spec.resources
    assert (spec.name, spec.source, spec.script) == ("mnist", place / "train_scripts", "tf_mnist.py")
    assert (resources.nodes, resources.processes_per_node, resources.gpus_per_node) == (1, 1, 0)
    assert (resources.cpus_per_process, resources.memory_gib, resources.time_limit_min) == (None, None, None)
    assert (spec.retries, spec.env, spec.tags, spec.description, spec.work) == (0, {}, {}, "", "link")
    assert (spec.command, spec.objective, spec.snapshot_limit_mib) == ((), None, 300)
    assert (request.wait, request.dry_run, request.store) == (True, False, place / "store")
    kinds = [getattr(spec, group).kind for group in ("compute", "distribution", "environment")]
    assert kinds == ["local", "single", "packages"]
    assert spec.framework.name == "tensorflow"
    assert spec.data.names() == ("digits",)


def test_every_key_at_the_top_has_its_type_and_its_default(place: Path) -> None:
    listed = [line.split(":")[0] for line in load([], place).config.splitlines() if line[0] not in " #-"]
    assert sorted([*listed, "example"]) == sorted(field.name for field in fields(Launch))


def test_a_script_of_ones_own_takes_no_arguments_of_the_example(place: Path) -> None:
    assert load(["args.epochs=3"], place).spec.args[-2:] == ("--epochs", "3")
    assert load(["script=mine.py", "args.steps=5"], place).spec.args == ("--steps", "5")
    assert load(["command=[echo]"], place).spec.args == ()


SCRIPTS = {
    "": "tf_mnist.py",
    "distribution=horovod": "tf_mnist_horovod.py",
    "distribution=parameter_server": "tf_mnist_parameter_server.py",
    "distribution=multi_worker": "tf_mnist_multi_worker.py",
    "framework=pytorch distribution=torch": "torch_mnist_ddp.py",
    "framework=pytorch distribution=horovod": "torch_mnist_horovod.py",
    "framework=sklearn": "sklearn_digits.py",
    "framework=python distribution=mpi": "mpi_pi.py",
    "experiment=mnist_horovod": "tf_mnist_horovod.py",
}


@pytest.mark.parametrize("words", SCRIPTS)
def test_the_choices_alone_name_the_script(words: str, place: Path) -> None:
    assert load(words.split(), place).spec.script == SCRIPTS[words]
    assert (CONF.parent / "train_scripts" / SCRIPTS[words]).is_file()


def test_no_example_leaves_the_script_to_the_user(place: Path) -> None:
    assert load(["framework=python"], place).spec.script is None


def test_what_the_user_gives_wins_over_the_example(place: Path) -> None:
    spec = load(
        ["distribution=horovod", "script=mine.py", "args.learning-rate=0.5", "+args.new=1"], place
    ).spec
    assert spec.script == "mine.py"
    assert spec.args[-2:] == ("--new", "1")
    assert spec.args[spec.args.index("--learning-rate") + 1] == "0.5"


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("framework=python", "current"),
        ("framework=sklearn", "packages"),
        ("framework=python environment=packages", "packages"),
        ("environment=current", "current"),
    ],
)
def test_the_environment_follows_the_framework_unless_chosen(words: str, kind: str, place: Path) -> None:
    assert load(words.split(), place).spec.environment.kind == kind


@pytest.mark.parametrize("data", ["digits", "mnist"])
def test_an_example_takes_the_first_input_whatever_its_name(data: str, place: Path) -> None:
    words = [f"data={data}", *(["data.inputs.mnist.uri=/x"] if data == "mnist" else [])]
    assert load(words, place).spec.args[:2] == ("--data-folder", f"@{{data.{data}}}")


def test_an_example_without_data_leaves_a_placeholder_that_the_checks_find(place: Path) -> None:
    [_, folder, *_] = load(["data=none"], place).spec.args
    assert DATA.findall(folder) == [""]


def test_mandatory_values_are_asked_for(place: Path) -> None:
    with pytest.raises(ConfigError, match=r"data.inputs.mnist.uri: got '\?\?\?'; expected a value"):
        load(["data=mnist"], place)


def test_open_mappings_take_any_key_without_a_plus(place: Path) -> None:
    words = [
        "args.zeta=1",
        "env.X=1",
        "tags.team=x",
        "data.inputs.mine.uri=/a",
        "data.inputs.mine.mode=download",
    ]
    spec = load(words, place).spec
    assert spec.args[-2:] == ("--zeta", "1")
    assert (spec.env, spec.tags) == ({"X": "1"}, {"team": "x"})
    data: Any = spec.data
    assert data.inputs["mine"] == {"uri": "/a", "mode": "download"}
