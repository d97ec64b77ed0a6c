"""What can be wrong with the options of an environment, found before anything is built."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.environment.build.uv import torch_backends
from launcher.environment.recipe.conda import EnvironmentFile, solver
from launcher.environment.recipe.frameworks import Release, check_framework, choose
from launcher.environment.recipe.horovod import DEBIAN
from launcher.environment.recipe.interpreters import (
    Version,
    candidates,
    found_text,
    span_text,
    version_numbers,
    within,
)
from launcher.environment.recipe.requirements import is_package, local_package, packages, read
from launcher.environment.registry import check_registry
from launcher.errors import Problem, nearest

_PACKAGE = "an archive, or a folder with pyproject.toml or setup.py"
_PATHS = "Paths count from the folder of the file that names them"

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from launcher.capabilities import EnvironmentRequest
    from launcher.environment.package_options import PackageOptions
    from launcher.facts import Facts


def problems(options: PackageOptions, request: EnvironmentRequest, facts: Facts) -> Iterable[Problem]:
    """Return everything that is wrong with `environment=packages` for this request."""
    in_image = request.target.images
    yield from check_framework(request.framework)
    yield from _python(options, request, on_host=not in_image)
    yield from _files(options)
    yield from _requirements(options.pip_packages)
    yield from _conda(options, on_host=not in_image)
    yield from _horovod(options, request, facts, on_host=not in_image)
    yield from _image(options, in_image=in_image)
    backend = options.torch_backend
    known = torch_backends() if backend is not None else []
    if backend is not None and known and backend not in known:
        hint = nearest(backend, known)
        yield Problem("environment.torch_backend", backend, f"one of {', '.join(known)}", hint)
    for key, choices in (("build_on", ("submit", "job")), ("stage", ("shared", "node"))):
        value = getattr(options, key)
        if value not in choices:
            yield Problem(f"environment.{key}", value, " or ".join(choices), nearest(value, choices))


def _text(version: Version) -> str:
    return ".".join(map(str, version))


def _span(release: Release | None, request: EnvironmentRequest) -> tuple[Version, Version] | None:
    return release.python_range(horovod=request.needs.horovod) if release else None


def _image(options: PackageOptions, *, in_image: bool) -> Iterable[Problem]:
    """Return what is wrong with the options of images, which only compute=docker has a use for."""
    if in_image:
        yield from _in_image(options)
        return
    for key in ("base_image", "apt_packages", "dockerfile_lines", "push"):
        if getattr(options, key):
            hint = "Choose compute=docker, or leave it out"
            yield Problem(
                f"environment.{key}", getattr(options, key), "an image, which is not built here", hint
            )


def _in_image(options: PackageOptions) -> Iterable[Problem]:
    for key, usual in (("build_on", "submit"), ("stage", "shared")):
        if getattr(options, key) != usual:
            given = getattr(options, key)
            yield Problem(f"environment.{key}", given, f"{usual} with compute=docker, which builds an image")
    for index, line in enumerate(options.dockerfile_lines):
        if re.match(r"\s*(FROM|COPY|ADD)\b", line, re.IGNORECASE) and "--from=" not in line:
            hint = "Choose environment.base_image; what is copied belongs into the source"
            yield Problem(f"environment.dockerfile_lines[{index}]", line, "no FROM, COPY or ADD", hint)
        elif re.match(r"\s*ARG\s+(https?|ftp|all|no)_proxy\b", line, re.IGNORECASE):
            hint = "Leave it out: the steps have the proxies of Docker's configuration anyway"
            expected = "no ARG of a proxy, whose value the image would keep in its history"
            yield Problem(f"environment.dockerfile_lines[{index}]", line, expected, hint)
    for index, package in enumerate(options.apt_packages):
        if not re.fullmatch(r"[a-z0-9][a-z0-9+.:=~_-]*", package):
            yield Problem(f"environment.apt_packages[{index}]", package, "the name of a package, libgl1")
    if options.push is not None and not re.fullmatch(r"[\w.:-]+/[a-z0-9._/-]*[a-z0-9]", options.push):
        yield Problem("environment.push", options.push, "registry/prefix, such as localhost:5000/team")
    yield from check_registry(options.registry)


def _python(options: PackageOptions, request: EnvironmentRequest, *, on_host: bool) -> Iterable[Problem]:
    release = choose(request.framework)
    span = _span(release, request)
    wanted = options.python
    said = f"Python {span_text(span)}" if span else "a version of Python"
    tested = f"{said}, with which {request.framework.name} {release.version} was tested" if release else said
    if wanted is not None and "/" not in wanted:
        numbers = version_numbers(wanted)
        if _text(numbers) != wanted:
            yield Problem("environment.python", wanted, "a version of Python as 3.11, or a path")
            return
        if span is not None and not within(numbers, span):
            yield Problem("environment.python", wanted, tested)
            return
    if not on_host and wanted is not None and "/" in wanted:
        hint = "Give a version, or an environment.base_image that has this Python as its python3"
        expected = "a version as 3.11 with compute=docker: an image has no path of this machine"
        yield Problem("environment.python", wanted, expected, hint)
    elif on_host and not options.conda and not candidates(wanted, span):
        hint = f"{found_text()}. Install it, or give the path of an interpreter"
        yield Problem("environment.python", wanted, f"{tested}, on this machine", hint)


def _files(options: PackageOptions) -> Iterable[Problem]:
    for key in ("requirements_file", "environment_file"):
        value = getattr(options, key)
        if value is not None and not Path(value).is_file():
            yield Problem(f"environment.{key}", value, "a file that exists")
    if options.requirements_file is not None:
        for item in read([Path(options.requirements_file)]).missing:
            key = f"environment.requirements_file: {item.file}, line {item.number}"
            yield Problem(key, item.given, item.expected, _PATHS)


def _requirements(lines: Sequence[str]) -> Iterable[Problem]:
    if not lines:
        return
    from packaging.requirements import InvalidRequirement, Requirement  # noqa: PLC0415  # only where packages are given

    for line in lines:
        if line.startswith("-"):
            yield Problem(
                "environment.pip_packages", line, "a requirement", "Options go into a requirements_file"
            )
            continue
        package = local_package(line, Path("/"))
        if package is not None:
            if not is_package(package.path):
                yield Problem("environment.pip_packages", line, _PACKAGE)
            continue
        if "://" in line:
            continue
        try:
            Requirement(line)
        except InvalidRequirement as error:
            reason = str(error).splitlines()[0]
            yield Problem(
                "environment.pip_packages", line, "a requirement as pip takes it, pandas>=2", reason
            )


def _conda(options: PackageOptions, *, on_host: bool) -> Iterable[Problem]:
    if not options.conda:
        return
    if options.conda_packages and options.environment_file:
        expected = "either conda_packages or environment_file"
        yield Problem("environment.conda_packages", options.conda_packages, expected)
    if options.python is not None and "/" in options.python:
        yield Problem("environment.python", options.python, "a version: conda brings Python")
    if options.environment_file and Path(options.environment_file).is_file():
        try:
            listed = EnvironmentFile.read(Path(options.environment_file))
            for path in packages(listed.pip):
                if not is_package(path):
                    yield Problem("environment.environment_file", str(path), _PACKAGE, _PATHS)
        except ValueError as error:
            yield Problem(
                "environment.environment_file",
                options.environment_file,
                "a conda environment file",
                str(error),
            )
    if on_host and solver() is None:
        expected = "py-rattler, or micromamba on PATH"
        yield Problem(
            "environment.conda_packages", options.conda_packages, expected, "Try: pip install py-rattler"
        )


def _horovod(
    options: PackageOptions, request: EnvironmentRequest, facts: Facts, *, on_host: bool
) -> Iterable[Problem]:
    if not request.needs.horovod:
        return
    release = choose(request.framework)
    if release is None or release.horovod is None:
        yield Problem("distribution", "horovod", "framework=tensorflow or pytorch in a version with Horovod")
        return
    if (
        options.build_on == "job" or not on_host
    ):  # what this host has to build with tells nothing of the nodes
        return
    missing = [
        name for name, path in (("a C++ compiler", facts.cxx), ("make", shutil.which("make"))) if not path
    ]
    if missing:
        yield Problem(
            "distribution", "horovod", f"{' and '.join(missing)} to build Horovod with", f"Try: {DEBIAN}"
        )
    if request.gpus and shutil.which("nvcc") is None:
        hint = "Try: apt-get install nvidia-cuda-toolkit, or put CUDA's bin folder on PATH"
        yield Problem("distribution", "horovod", "nvcc, to build Horovod for GPUs", hint)
