"""A project's own conf: searched first, named and never guessed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from launcher.config.load import load, load_sweep
from launcher.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

FILES = {
    "compute/mine.yaml": "defaults:\n  - local\n  - _self_\nmax_parallel: 3\n",
    "compute/bare.yaml": "max_parallel: 3\n",
    "data/ours.yaml": "defaults:\n  - none\n  - _self_\ninputs:\n  ours:\n    uri: /ours\n",
    "experiment/big.yaml": (
        "# @package _global_\ndefaults:\n  - override /distribution: horovod\n  - override /compute: mine\n"
        "  - _self_\nnodes: 4\nargs:\n  epochs: 99\ntags:\n  size: big\n"
    ),
    "experiment/plain.yaml": (
        "# @package _global_\ndefaults:\n  - override /framework: python\n"
        "  - override /environment: packages\n  - _self_\nscript: x.py\n"
    ),
    "distribution/horovod.yaml": (
        "defaults:\n  - /schema/distribution/horovod@_here_\n  - _self_\ncontroller: gloo\n"
    ),
}


@pytest.fixture
def conf(place: Path) -> Path:
    for name, text in FILES.items():
        file = place / "own" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return place / "own"


def test_a_choice_extends_an_installed_one(conf: Path, place: Path) -> None:
    compute = load(["--config-dir", str(conf), "compute=mine"], place).spec.compute
    assert (compute.kind, getattr(compute, "max_parallel", None)) == ("local", 3)
    assert load([f"--config-dir={conf}", "data=ours"], place).spec.args[:2] == (
        "--data-folder",
        "@{data.ours}",
    )


def test_a_choice_of_the_same_name_wins(conf: Path, place: Path) -> None:
    given = load(["-cd", "own", "distribution=horovod"], place).spec.distribution
    assert str(getattr(given, "controller", None)) == "gloo"
    assert conf.is_dir()


def test_an_experiment_overrides_choices_and_values(conf: Path, place: Path) -> None:
    words = ["--config-dir", str(conf), "experiment=big", "args.batch-size=1"]
    spec = load(words, place).spec
    assert (spec.distribution.kind, spec.resources.nodes, spec.tags) == ("horovod", 4, {"size": "big"})
    assert spec.script == "tf_mnist_horovod.py"
    assert spec.args[spec.args.index("--epochs") + 1] == "99"
    assert load([*words, "distribution=single", "nodes=1"], place).spec.distribution.kind == "single"
    plain = load(["--config-dir", str(conf), "experiment=plain"], place).spec
    assert (plain.environment.kind, plain.framework.name) == ("packages", "python")


def test_a_choice_that_begins_with_nothing_says_how_to_begin(conf: Path, place: Path) -> None:
    with pytest.raises(ConfigError, match=r"Let compute/bare.yaml begin with an installed choice"):
        load(["--config-dir", str(conf), "compute=bare"], place)


def test_it_is_named_in_pyproject_and_never_guessed(conf: Path, place: Path) -> None:
    conf.rename(place / "conf")
    with pytest.raises(ConfigError, match="experiment: got 'big'"):
        load(["experiment=big"], place)
    (place / "pyproject.toml").write_text('[tool.launcher]\nconf = "conf"\n')
    assert load(["experiment=big"], place / "src").spec.resources.nodes == 4
    (place / "pyproject.toml").write_text('[tool.launcher]\nconf = "gone"\n')
    with pytest.raises(
        ConfigError, match=r"\[tool.launcher\] conf: got .*gone'; expected an existing folder"
    ):
        load([], place)


def test_a_projects_defaults_are_its_own_config_yaml(conf: Path, place: Path) -> None:
    (conf / "config.yaml").write_text(
        "defaults:\n  - launcher\n  - _self_\n  - override compute: mine\n  - override framework: sklearn\n"
        "name: ours\nnodes: 1\nargs:\n  regularization: 0.5\n"
    )
    spec = load(["--config-dir", str(conf)], place).spec
    assert (spec.name, spec.framework.name, spec.script) == ("ours", "sklearn", "sklearn_digits.py")
    assert spec.args == ("--data-folder", "@{data.digits}", "--regularization", "0.5")
    assert getattr(spec.compute, "max_parallel", None) == 3
    chosen = load(["--config-dir", str(conf), "compute=local", "name=theirs"], place).spec
    assert (chosen.name, getattr(chosen.compute, "max_parallel", 0)) == ("theirs", None)
    (conf / "other.yaml").write_text("defaults:\n  - config\n  - _self_\nname: other\n")
    assert load(["--config-dir", str(conf), "--config-name", "other"], place).spec.name == "other"


def test_a_project_may_set_hydras_own_keys(conf: Path, place: Path) -> None:
    (place / "more" / "compute").mkdir(parents=True)
    (place / "more" / "compute" / "far.yaml").write_text(
        "defaults:\n  - local\n  - _self_\nmax_parallel: 9\n"
    )
    (conf / "config.yaml").write_text(
        f"defaults:\n  - launcher\n  - _self_\nhydra:\n  searchpath:\n    - file://{place}/more\n"
        "  job:\n    name: given\nargs:\n  job: ${hydra:job.name}-${hydra:job.num}\n"
    )
    words = ["--config-dir", str(conf), "compute=far", "framework=python", "script=x.py"]
    members = load_sweep([*words, "args.z=1,2"], place)
    assert [member.spec.args for member in members] == [
        ("--job", "given-0", "-z", "1"),
        ("--job", "given-1", "-z", "2"),
    ]
    assert getattr(members[0].spec.compute, "max_parallel", None) == 9
