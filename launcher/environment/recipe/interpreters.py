"""The Python interpreters of this machine, found without starting them where a name tells enough."""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.agent.base import atomic_json
from launcher.agent.base.tools import failure, run_tool
from launcher.errors import BuildError
from launcher.programs import PYTHON_QUERY

if TYPE_CHECKING:
    from collections.abc import Mapping

Version = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """An interpreter, by what decides which packages fit it."""

    path: str
    """Absolute, and outside of any virtual environment."""
    version: str
    """In full, as `3.11.7`."""
    implementation: str
    abi: str


def version_numbers(text: str) -> Version:
    """Return the leading numbers of a version: `3.12.1rc2` is (3, 12, 1)."""
    match = re.match(r"\d+(?:\.\d+)*", text)
    return tuple(int(part) for part in match.group().split(".")) if match else ()


def _named(folder: str) -> list[tuple[Version, str]]:
    """Return the interpreters of a folder whose name tells the version, the newest first."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.name.startswith("python")]
    except OSError:
        return []
    here: list[tuple[Version, str]] = []
    for name in names:
        match = re.fullmatch(r"python(\d+\.\d+)", name)
        path = f"{folder}/{name}"
        if match and os.access(path, os.X_OK):
            here.append((version_numbers(match.group(1)), path))
    return sorted(here, reverse=True)


def mine() -> tuple[Version, str]:
    """Return version and path of the Python that runs this, outside of its virtual environment."""
    base: str = getattr(sys, "_base_executable", None) or sys.executable
    return tuple(sys.version_info[:3]), os.path.realpath(base)


def found(environ: Mapping[str, str] = os.environ) -> list[tuple[Version, str]]:
    """Return version and path of the interpreters of this machine, this one first.

    Looks at this Python, PATH, and the folders of pyenv and uv. Shims of pyenv are passed over: they
    answer only for the versions that are switched on.
    """
    here: list[tuple[Version, str]] = [mine()]
    for entry in environ.get("PATH", "").split(os.pathsep):
        if entry and Path(entry).name != "shims":
            here += _named(entry)
    home = Path(environ.get("HOME") or Path.home())
    pyenv = Path(environ.get("PYENV_ROOT") or home / ".pyenv") / "versions"
    managed = Path(environ.get("UV_PYTHON_INSTALL_DIR") or home / ".local/share/uv/python")
    for pattern in (pyenv.glob("[0-9]*"), managed.glob("cpython-*")):
        for folder in sorted(pattern, reverse=True):
            number = version_numbers(folder.name.removeprefix("cpython-"))
            path = folder / "bin" / "python3"
            if os.access(path, os.X_OK):
                here.append((number, str(path)))
    unique: dict[str, tuple[Version, str]] = {}
    for version, path in here:
        unique.setdefault(os.path.realpath(path), (version, path))
    return list(unique.values())


def fits(version: Version, wanted: str) -> bool:
    """Tell whether a version starts with the wanted numbers: 3.7.16 fits `3.7`.

    A file name tells two numbers only; it may fit a longer wish, which `describe` then decides.
    """
    numbers = version_numbers(wanted)
    length = min(len(version), len(numbers))
    return version[:length] == numbers[:length]


def describe(path: str, cache: Path) -> Interpreter:
    """Ask an interpreter what it is; remembered in the cache until its file changes.

    Raises:
        BuildError: it does not start.
    """
    real = os.path.realpath(path)
    status = Path(real).stat()
    stamp = f"{real}:{status.st_size}:{status.st_mtime_ns}:{status.st_ino}"
    memory = cache / "interpreters.json"
    known = atomic_json.read(str(memory)) or {}
    answer = known.get(stamp)
    if answer is None:
        reply = run_tool([real, "-I", "-S", "-c", PYTHON_QUERY], timeout_s=60)
        try:
            answer = as_record(interpreter_of(json.loads(reply.stdout)))
        except ValueError as error:
            raise BuildError(f"environment.python: {path} does not start: {failure(reply)}") from error
        memory.parent.mkdir(parents=True, exist_ok=True)
        atomic_json.write(str(memory), {**known, stamp: answer})
    return Interpreter(path=real, **answer)


def interpreter_of(python: Mapping[str, str]) -> Interpreter:
    """Return the Python that `PYTHON_QUERY` describes."""
    return Interpreter(**{name: python[name] for name in ("path", "version", "implementation", "abi")})


def as_record(interpreter: Interpreter) -> dict[str, str]:
    """Return what of an interpreter belongs into a key: not its place."""
    values = asdict(interpreter)
    del values["path"]
    return values


def within(version: Version, span: tuple[Version, Version]) -> bool:
    """Tell whether the first two numbers of a version lie in a range, both ends included."""
    return span[0] <= version[:2] <= span[1]


def span_text(span: tuple[Version, Version]) -> str:
    """Return a range of versions: `3.9 to 3.12`, or `3.7` where both ends are one."""
    low, high = (".".join(map(str, version)) for version in span)
    return low if low == high else f"{low} to {high}"


def candidates(wanted: str | None, span: tuple[Version, Version] | None) -> list[str]:
    """Return the interpreters that may serve, the best first.

    `wanted` is a version, shortened or not, or a path; without it any in the range serves: this one,
    else the newest.
    """
    if wanted is not None and os.sep in wanted:
        return [wanted] if os.path.isfile(wanted) and os.access(wanted, os.X_OK) else []  # noqa: PTH113
    if wanted is not None:
        return [path for version, path in found() if fits(version, wanted)]
    version, path = mine()
    if span is None or within(version, span):
        return [path]  # at once: this is asked at every launch
    others = [item for item in found() if within(item[0], span)]
    return [path for _, path in sorted(others, key=lambda item: item[0][:2], reverse=True)]


def choose_interpreter(wanted: str | None, span: tuple[Version, Version] | None, cache: Path) -> Interpreter:
    """Return the interpreter for an environment.

    Raises:
        BuildError: none serves.
    """
    for path in candidates(wanted, span):
        interpreter = describe(path, cache)
        exact = wanted is None or os.sep in wanted or fits(version_numbers(interpreter.version), wanted)
        if exact and len(version_numbers(interpreter.version)) >= len(version_numbers(wanted or "")):
            return interpreter
    raise BuildError(
        f"environment.python: no interpreter for {wanted or span!r} on this machine. {found_text()}"
    )


def found_text() -> str:
    """Say which versions are on this machine."""
    versions = sorted({version[:2] for version, _ in found()})
    return "Found here: " + ", ".join(".".join(map(str, version)) for version in versions)
