"""What a dry run says of the environment, and its legend."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from launcher.compute.docker import Docker
from launcher.compute.local import Local
from launcher.compute.slurm.target import Slurm
from launcher.data.inputs import Inputs
from launcher.distribution.single import Single
from launcher.distribution.torch import Torch
from launcher.dryrun import describe_all, describe_environment
from launcher.environment import Current, Image, Packages
from launcher.environment.cache.folder import entry_of
from launcher.environment.recipe.choice import choose_recipe
from launcher.facts import Facts
from launcher.legend import legend
from launcher.paths import cache_root
from launcher.plan import Plan
from launcher.spec import Environment, LaunchRequest, Prepared, Resources, RunSpec


class Member(NamedTuple):
    request: LaunchRequest
    plan: Plan
    facts: Facts


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LAUNCHER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def asked(environment: Environment, **fields: Any) -> LaunchRequest:
    values: dict[str, Any] = {"distribution": Single(), "compute": Local(), **fields}
    spec = RunSpec(
        name="t", source=Path("/source"), script="train.py", environment=environment, data=Inputs(), **values
    )
    return LaunchRequest(spec=spec, store=Path("/store"), config="")


def test_the_python_of_this_launcher_is_named() -> None:
    assert list(describe_environment(asked(Current()), Facts())) == [
        f"python        {shlex.quote(sys.executable)}, with what is installed in it"
    ]


def test_packages_are_shown_with_their_python_and_whether_they_are_built(cache: Path) -> None:
    wish = Packages(
        python=sys.executable, pip_packages=["rich>=13", "tool @ https://me:s3cret@site/tool.whl"]
    )
    request = asked(wish)
    python, packages, built = describe_environment(request, Facts())
    version = ".".join(map(str, sys.version_info[:3]))
    assert python.startswith("python        ")
    assert python.endswith(f", {version}")
    assert packages == "packages      'rich>=13' 'tool @ https://***@site/tool.whl'"
    assert built == "built         no: to be built before the run is handed over"
    assert not cache.exists()  # a dry run touches nothing
    on_job = asked(Packages(python=sys.executable, build_on="job"))
    assert list(describe_environment(on_job, Facts()))[1:] == [
        "packages      none",
        "built         no: to be built by its job",
    ]
    key = choose_recipe(wish, request.spec.environment_request, Facts(), cache_root()).key()
    place = entry_of(cache_root(), key)
    place.root.mkdir(parents=True)
    place.finish(Prepared(key=key, python=sys.executable, prefix=str(place.root / "1")), {})
    assert list(describe_environment(request, Facts()))[2] == f"built         {place.root / '1'}"


def test_conda_brings_its_own_python() -> None:
    lines = list(describe_environment(asked(Packages(conda_packages=["numpy=1.26"], python="3.11")), Facts()))
    assert lines[0] == "python        3.11, from conda"
    assert "numpy=1.26" in lines[1]


def test_an_image_has_lines_of_its_own() -> None:
    for environment in (Image(image="a:1"), Packages()):
        lines = describe_environment(asked(environment, compute=Docker()), Facts())
        assert [line.split()[0] for line in lines if not line.startswith(" ")] == ["image"]


def test_every_placeholder_that_occurs_is_explained_once() -> None:
    request = asked(Current(), distribution=Torch(), resources=Resources(nodes=2))
    plan = request.spec.distribution.plan(request.spec, Facts())
    lines = list(describe_all([Member(request, plan, Facts())] * 2))
    notes = lines[lines.index("placeholders") + 1 :]
    assert [note.split()[0] for note in notes] == ["@{python}", "@{host.…}", "@{port.…}", "@{interface}"]
    assert lines.count("placeholders") == 1
    request = asked(Current(), compute=Slurm(python="python3"))
    member = Member(request, request.spec.distribution.plan(request.spec, Facts()), Facts())
    lines = list(describe_all([member, member]))
    notes = lines[lines.index("placeholders") + 1 :]
    assert [note.split()[0] for note in notes] == ["@{python}", "ID", "K", "DIGEST"]


def test_without_placeholders_there_is_no_legend() -> None:
    assert list(legend(["A=N KEY"], [])) == []
    assert list(legend([], ["docker run BOX12 TMP/BOX12 N2 NOTHING"])) == [
        "placeholders",
        "  BOX  the name of the container of a node",
        "  TMP  the node's folder for temporary files",
    ]
