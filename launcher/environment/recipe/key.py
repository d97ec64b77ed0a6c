"""Everything that decides what an environment holds, and the key that is made of it."""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.credentials import hide
from launcher.environment.recipe.indexes import constraint_files
from launcher.environment.recipe.requirements import Requirements, packages, read

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from launcher.environment.recipe.conda import CondaRequest
    from launcher.environment.recipe.horovod import HorovodRequest
    from launcher.environment.recipe.interpreters import Interpreter

_LAYOUT = 1
"""Raise it when environments that were built before must be built anew."""


def normalised(requirement: str) -> str:
    """Return a requirement in one spelling: `Six >= 1` and `six>=1` are the same."""
    text = requirement.strip()
    match = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", text)
    if match is None or "://" in text.split("@")[0] or "/" in match.group():
        return text
    name = re.sub(r"[-_.]+", "-", match.group()).lower()
    rest, marker, condition = text[match.end() :].partition(";")
    return name + re.sub(r"\s+", "", rest) + (f"; {condition.strip()}" if marker else "")


def digest(value: object) -> str:
    """Return the SHA-256 of plain data, in hexadecimal."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def machine() -> dict[str, str]:
    """Return what of this machine decides which binaries run on it."""
    try:
        libc = os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (ValueError, OSError):
        libc = ""
    uname = os.uname()
    return {"system": uname.sysname, "machine": uname.machine, "libc": libc}


def contents(paths: Iterable[Path]) -> list[str]:
    """Return the digests of files, in which credentials do not count."""
    return [hashlib.sha256(_without_credentials(path.read_bytes())).hexdigest() for path in paths]


def _without_credentials(content: bytes) -> bytes:
    return hide(content.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What an environment is made of."""

    interpreter: Interpreter | None
    """None where conda brings it."""
    requirements: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    """Requirement files."""
    root: Path = Path("/")
    """The folder that stands for `/` in the paths of requirement files: copies of the files lie below it."""
    conda: CondaRequest | None = None
    modules: tuple[str, ...] = ()
    """What must import before the environment counts as ready."""
    skip_imports: tuple[str, ...] = ()
    """Distributions that are not imported after the installation; no part of the key."""
    horovod: HorovodRequest | None = None
    mpi: str | None = None
    """Flavour and first number of the MPI that its packages will meet, where that matters."""
    gpu: bool = False
    torch_backend: str | None = None
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    """Variables that processes in it need."""
    machine: Mapping[str, str] = field(default_factory=machine)
    """That it is for."""
    image: Mapping[str, Any] | None = None
    """Of an image, what its layers below are made of."""

    def listed(self) -> Requirements:
        """Return what the requirement files ask for."""
        return read(self.files, self.root)

    def local_packages(self) -> list[Path]:
        """Return the folders and archives of this machine that are installed, each once."""
        lines = [*self.requirements, *(self.conda.pip if self.conda else ())]
        return list(dict.fromkeys([*packages(lines), *self.listed().packages()]))

    def summary(self) -> tuple[str, ...]:
        """Return what was asked for, in words for people, without credentials."""
        conda = (*self.conda.packages, *self.conda.pip) if self.conda else ()
        horovod = (f"horovod for {self.horovod.release.framework}",) if self.horovod else ()
        files = (f"-r {path.name}" for path in self.files)
        return tuple(hide(word) for word in (*self.requirements, *horovod, *conda, *files))

    def key(self) -> str:
        """Return the content hash of the recipe and of this machine."""
        from launcher.environment.recipe.local_packages import content  # noqa: PLC0415  # few environments have any

        request = self.conda
        conda = None
        if request is not None:
            packages, pip = (sorted(map(hide, words)) for words in (request.packages, request.pip))
            conda = {"packages": packages, "channels": list(map(hide, request.channels)), "pip": pip}
        image = {} if self.image is None else {"image": dict(self.image)}
        return digest(
            {
                **image,
                "layout": _LAYOUT,
                "machine": dict(self.machine),
                # Also its place, which an environment has links to.
                "python": asdict(self.interpreter) if self.interpreter else None,
                "requirements": sorted({normalised(hide(line)) for line in self.requirements}),
                "local": [content(path) for path in self.local_packages() if path.exists()],
                "files": contents(self.listed().files),
                "constraints": contents(read(constraint_files(os.environ)).files),
                "conda": conda,
                "modules": self.modules,
                "horovod": self.horovod.as_record() if self.horovod else None,
                "mpi": self.mpi,
                "gpu": self.gpu,
                "torch_backend": self.torch_backend,
                "env": dict(self.env),
            }
        )
