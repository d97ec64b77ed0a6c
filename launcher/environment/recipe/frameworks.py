"""Versions of frameworks that were run together, and what has to be beside them.

Where the figures come from: every row was installed and imported; where `horovod` is given, it was
built and trained with. What is not in the table is refused, because most other combinations resolve
and then fail at import.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from launcher.environment.recipe.interpreters import Version, version_numbers
from launcher.errors import Problem, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from launcher.capabilities import Framework

HOROVOD = "0.28.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One version of a framework with what it was tested with."""

    framework: str
    version: str
    pythons: tuple[Version, Version]
    """Oldest and newest Python it was tested for, both included."""
    packages: tuple[str, ...]
    gpu_packages: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    """What must import before the environment counts as ready."""
    horovod: str | None = None
    """Version of Horovod that builds against it."""
    horovod_packages: tuple[str, ...] = ()
    horovod_pythons: tuple[Version, Version] | None = None
    horovod_env: Mapping[str, str] = field(default_factory=dict[str, str])
    """Variables that its processes need under Horovod."""
    cpu_overrides: tuple[str, ...] = ()
    """Dependencies of its packages that the build without GPUs replaces."""

    def brings(self, *, gpu: bool, horovod: bool) -> tuple[str, ...]:
        """Return the requirements of this release."""
        packages = self.gpu_packages if gpu and self.gpu_packages else self.packages
        return packages + (self.horovod_packages if horovod else ())

    def overrides(self, *, gpu: bool) -> tuple[str, ...]:
        """Return requirements that stand in for what its packages ask for."""
        return () if gpu else self.cpu_overrides

    def python_range(self, *, horovod: bool) -> tuple[Version, Version]:
        """Return the oldest and newest Python for this use."""
        return (self.horovod_pythons or self.pythons) if horovod else self.pythons


_HOROVOD_NEEDS = ("cloudpickle", "psutil", "pyyaml", "packaging")

RELEASES: tuple[Release, ...] = (
    Release(
        framework="tensorflow",
        version="2.15.1",
        pythons=((3, 9), (3, 11)),
        packages=("tensorflow-cpu==2.15.1",),
        gpu_packages=("tensorflow[and-cuda]==2.15.1",),
        modules=("tensorflow",),
        horovod=HOROVOD,
        horovod_packages=_HOROVOD_NEEDS,
    ),
    Release(
        framework="tensorflow",
        version="2.21.0",
        pythons=((3, 10), (3, 13)),
        packages=("tensorflow-cpu==2.21.0",),
        gpu_packages=("tensorflow[and-cuda]==2.21.0",),
        modules=("tensorflow",),
        horovod=HOROVOD,
        # Horovod's callbacks are for Keras 2, and its runner imports distutils, gone in Python 3.12.
        horovod_packages=(*_HOROVOD_NEEDS, "tf-keras==2.21.0"),
        horovod_pythons=((3, 10), (3, 11)),
        horovod_env={"TF_USE_LEGACY_KERAS": "1"},
        # tf-keras wants `tensorflow`, 550 MB on top of the tensorflow-cpu that serves it as well.
        cpu_overrides=("tensorflow; python_version < '3'",),
    ),
    Release(
        framework="tensorflow",
        version="1.15.5",
        pythons=((3, 7), (3, 7)),
        # protobuf 3.21 and numpy 1.20 resolve and then break its import or tf.Graph.
        packages=("tensorflow==1.15.5", "protobuf<3.21", "numpy<1.19", "h5py<3"),
        gpu_packages=("tensorflow-gpu==1.15.5", "protobuf<3.21", "numpy<1.19", "h5py<3"),
        modules=("tensorflow",),
    ),
    Release(
        framework="pytorch",
        version="2.13.0",
        pythons=((3, 10), (3, 13)),
        packages=("torch==2.13.0", "numpy<3"),
        modules=("torch", "numpy"),
        horovod=HOROVOD,
        horovod_packages=_HOROVOD_NEEDS,
        horovod_pythons=((3, 10), (3, 11)),
    ),
    Release(
        framework="sklearn",
        version="1.7.2",
        pythons=((3, 10), (3, 13)),
        packages=("scikit-learn==1.7.2", "numpy<3"),
        modules=("sklearn", "numpy"),
    ),
    Release(
        framework="sklearn",
        version="1.5.2",
        pythons=((3, 9), (3, 13)),
        packages=("scikit-learn==1.5.2", "numpy<3"),
        modules=("sklearn", "numpy"),
    ),
)
"""The first of a framework is its default."""

NAMES: tuple[str, ...] = ("python", *dict.fromkeys(release.framework for release in RELEASES))


def releases(name: str) -> tuple[Release, ...]:
    """Return the tested releases of a framework, the default first."""
    return tuple(release for release in RELEASES if release.framework == name)


def choose(framework: Framework) -> Release | None:
    """Return the release that a framework's version means, or None where there is none.

    The version may be shortened: `2.15` means 2.15.1.
    """
    for release in releases(framework.name):
        if framework.version is None:
            return release
        wanted = version_numbers(framework.version)
        if wanted and version_numbers(release.version)[: len(wanted)] == wanted:
            return release
    return None


def check_framework(framework: Framework) -> Iterable[Problem]:
    """Return what is wrong with the framework and its version."""
    if framework.name not in NAMES:
        hint = nearest(framework.name, NAMES)
        yield Problem("framework", framework.name, f"one of {', '.join(NAMES)}", hint)
    elif framework.name == "python":
        if framework.version is not None:
            hint = f"Try environment.python={framework.version}"
            yield Problem("framework.version", framework.version, "none for framework=python", hint)
    elif choose(framework) is None:
        tested = [release.version for release in releases(framework.name)]
        hint = nearest(str(framework.version), tested) or f"Try framework.version={tested[0]}"
        yield Problem("framework.version", framework.version, f"a tested version: {', '.join(tested)}", hint)
