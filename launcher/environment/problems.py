"""What can be wrong with the options of an environment, found before anything is built."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.environment.conda import EnvironmentFile, solver
from launcher.environment.frameworks import Release, check_framework, choose
from launcher.environment.horovod import DEBIAN
from launcher.environment.interpreters import Version, candidates, there, version_numbers, within
from launcher.errors import Problem, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from launcher.environment.packages import Packages
    from launcher.spec import Facts, RunSpec


def problems(options: Packages, spec: RunSpec, facts: Facts) -> Iterable[Problem]:
    """Return everything that is wrong with `environment=packages` in this spec."""
    yield from check_framework(spec.framework)
    yield from _python(options, spec)
    yield from _files(options)
    yield from _requirements(options.pip_packages)
    yield from _conda(options)
    yield from _horovod(options, spec, facts)
    backend = options.torch_backend
    if backend is not None and re.fullmatch(r"auto|cpu|xpu|cu\d+|rocm[\d.]+", backend) is None:
        yield Problem("environment.torch_backend", backend, "cpu, auto, xpu, or a build as cu126 or rocm6.4")
    for key, choices in (("build_on", ("submit", "job")), ("stage", ("shared", "node"))):
        value = getattr(options, key)
        if value not in choices:
            yield Problem(f"environment.{key}", value, " or ".join(choices), nearest(value, choices))


def _text(version: Version) -> str:
    return ".".join(map(str, version))


def _span(release: Release | None, spec: RunSpec) -> tuple[Version, Version] | None:
    horovod = spec.distribution.kind == "horovod"
    return release.python_range(horovod=horovod) if release else None


def _python(options: Packages, spec: RunSpec) -> Iterable[Problem]:
    release = choose(spec.framework)
    span = _span(release, spec)
    wanted = options.python
    said = f"Python {_text(span[0])} to {_text(span[1])}" if span else "a version of Python"
    tested = f"{said}, with which {spec.framework.name} {release.version} was tested" if release else said
    if wanted is not None and "/" not in wanted:
        numbers = version_numbers(wanted)
        if _text(numbers) != wanted:
            yield Problem("environment.python", wanted, "a version of Python as 3.11, or a path")
            return
        if span is not None and not within(numbers, span):
            yield Problem("environment.python", wanted, tested)
            return
    if not options.conda and not candidates(wanted, span):
        hint = f"{there()}. Install it, or give the path of an interpreter"
        yield Problem("environment.python", wanted, f"{tested}, on this machine", hint)


def _files(options: Packages) -> Iterable[Problem]:
    for key in ("requirements_file", "environment_file"):
        value = getattr(options, key)
        if value is not None and not Path(value).is_file():
            yield Problem(f"environment.{key}", value, "a file that exists")


def _requirements(lines: Sequence[str]) -> Iterable[Problem]:
    if not lines:
        return
    from packaging.requirements import InvalidRequirement, Requirement  # noqa: PLC0415  # only where packages are given

    for line in lines:
        if "://" in line or line.endswith((".whl", ".tar.gz", ".zip")):
            continue
        if line.startswith("-"):
            yield Problem(
                "environment.pip_packages", line, "a requirement", "Options go into a requirements_file"
            )
            continue
        try:
            Requirement(line)
        except InvalidRequirement as error:
            reason = str(error).splitlines()[0]
            yield Problem(
                "environment.pip_packages", line, "a requirement as pip takes it, pandas>=2", reason
            )


def _conda(options: Packages) -> Iterable[Problem]:
    if not options.conda:
        return
    if options.conda_packages and options.environment_file:
        expected = "either conda_packages or environment_file"
        yield Problem("environment.conda_packages", options.conda_packages, expected)
    if options.python is not None and "/" in options.python:
        yield Problem("environment.python", options.python, "a version: conda brings Python")
    if options.environment_file and Path(options.environment_file).is_file():
        try:
            EnvironmentFile.read(Path(options.environment_file))
        except ValueError as error:
            yield Problem(
                "environment.environment_file",
                options.environment_file,
                "a conda environment file",
                str(error),
            )
    if solver() is None:
        expected = "py-rattler, or micromamba on PATH"
        yield Problem(
            "environment.conda_packages", options.conda_packages, expected, "Try: pip install py-rattler"
        )


def _horovod(options: Packages, spec: RunSpec, facts: Facts) -> Iterable[Problem]:
    if spec.distribution.kind != "horovod":
        return
    release = choose(spec.framework)
    if release is None or release.horovod is None:
        yield Problem("distribution", "horovod", "framework=tensorflow or pytorch in a version with Horovod")
        return
    if options.build_on == "job":  # what this host has to build with tells nothing of the nodes
        return
    missing = [
        name for name, path in (("a C++ compiler", facts.cxx), ("make", shutil.which("make"))) if not path
    ]
    if missing:
        yield Problem(
            "distribution", "horovod", f"{' and '.join(missing)} to build Horovod with", f"Try: {DEBIAN}"
        )
    if spec.resources.gpus_per_node > 0 and shutil.which("nvcc") is None:
        hint = "Try: apt-get install nvidia-cuda-toolkit, or put CUDA's bin folder on PATH"
        yield Problem("distribution", "horovod", "nvcc, to build Horovod for GPUs", hint)
