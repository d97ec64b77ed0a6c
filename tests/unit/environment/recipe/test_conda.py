"""What conda is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from launcher.environment import Packages
from launcher.environment.build.conda_install import check_visible
from launcher.environment.recipe.conda import CondaRequest, EnvironmentFile, name_of
from launcher.errors import BuildError

if TYPE_CHECKING:
    from pathlib import Path

SPAN = ((3, 9), (3, 11))


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("numpy", "numpy"),
        ("numpy=1.26", "numpy"),
        ("conda-forge::NumPy >=1,<2", "numpy"),
        ("scikit-learn 1.5.*", "scikit-learn"),
    ],
)
def test_name_of(spec: str, name: str) -> None:
    assert name_of(spec) == name


def test_python_is_among_the_packages() -> None:
    assert CondaRequest.of(Packages(conda_packages=["six"]), None).packages == ("python", "six")
    assert CondaRequest.of(Packages(conda_packages=["six"]), SPAN).packages == ("python>=3.9,<3.12", "six")
    assert CondaRequest.of(Packages(conda_packages=["python=3.8"]), SPAN).packages == ("python=3.8",)
    named = Packages(conda_packages=["six"], python="3.10")
    assert CondaRequest.of(named, SPAN).packages == ("python=3.10", "six")


def test_an_environment_file(tmp_path: Path) -> None:
    path = tmp_path / "environment.yaml"
    path.write_text("channels: [mine, nodefaults]\ndependencies:\n- python=3.11\n- numpy\n- pip:\n  - six\n")
    wish = CondaRequest.of(Packages(environment_file=str(path)), None)
    assert wish == CondaRequest(packages=("python=3.11", "numpy"), channels=("mine",), pip=("six",))
    path.write_text("dependencies: []\n")
    assert CondaRequest.of(Packages(environment_file=str(path)), None).channels == ("conda-forge",)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("- a\n- b\n", "no list of dependencies"),
        ("dependencies: {a: 1}\n", "no list of dependencies"),
        ("dependencies: [{conda: a}]\n", "neither text nor a pip section"),
        ("dependencies: [{pip: a}]\n", "no list under pip"),
        ("dependencies: [{pip: ['-r x.txt']}]\n", "put it into requirements_file"),
        ("channels: a\ndependencies: []\n", "no list of channels"),
        ("a: [\n", "expected"),
    ],
)
def test_a_file_that_is_none(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "environment.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=reason):
        EnvironmentFile.read(path)


@pytest.mark.parametrize("channel", ["https://u:pw@host/c", "https://@{secret.A}@host/c"])
def test_no_login_comes_into_a_command_line(channel: str) -> None:
    with pytest.raises(BuildError, match=r"which mamba shows in its command line") as error:
        check_visible(["python", channel], "/opt/bin/mamba")
    assert "pw" not in str(error.value)
    check_visible(["python", "https://host/c"], "mamba")
