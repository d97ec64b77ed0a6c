"""The table of tested releases."""

from __future__ import annotations

import pytest

from launcher.capabilities import Framework
from launcher.environment.recipe.frameworks import NAMES, RELEASES, check_framework, choose, releases


@pytest.mark.parametrize(
    ("name", "version", "chosen"),
    [
        ("tensorflow", None, "2.15.1"),
        ("tensorflow", "2.15", "2.15.1"),
        ("tensorflow", "1.15", "1.15.5"),
        ("tensorflow", "1", "1.15.5"),
        ("tensorflow", "2.15.1", "2.15.1"),
        ("tensorflow", "2.1", None),
        ("tensorflow", "newest", None),
        ("pytorch", None, "2.13.0"),
        ("python", None, None),
    ],
)
def test_a_version_may_be_shortened(name: str, version: str | None, chosen: str | None) -> None:
    release = choose(Framework(name=name, version=version))
    assert (release.version if release else None) == chosen


def test_an_unknown_version_names_the_tested_ones() -> None:
    (problem,) = check_framework(Framework(name="tensorflow", version="2.14"))
    text = str(problem)
    assert text.startswith("framework.version: got '2.14'")
    for release in releases("tensorflow"):
        assert release.version in text


def test_an_unknown_framework_names_the_nearest() -> None:
    (problem,) = check_framework(Framework(name="tensorflwo"))
    assert "Did you mean tensorflow?" in str(problem)


def test_python_has_no_version_of_a_framework() -> None:
    (problem,) = check_framework(Framework(name="python", version="3.9"))
    assert "environment.python=3.9" in str(problem)


def test_gpus_bring_the_builds_for_them() -> None:
    release = choose(Framework(name="tensorflow"))
    assert release is not None
    assert release.brings(gpu=False, horovod=False) == ("tensorflow-cpu==2.15.1",)
    assert release.brings(gpu=True, horovod=False) == ("tensorflow[and-cuda]==2.15.1",)
    assert "cloudpickle" in release.brings(gpu=False, horovod=True)


def test_every_release_says_what_must_import() -> None:
    assert NAMES[0] == "python"
    for release in RELEASES:
        assert release.modules
        assert release.pythons[0] <= release.pythons[1]
