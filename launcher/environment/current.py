"""`environment=current`: the Python that runs the launcher, as it is."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from launcher.capabilities import EnvironmentRequest, Traits
from launcher.environment.recipe.frameworks import releases
from launcher.errors import Problem
from launcher.spec import Prepared, Progress

if TYPE_CHECKING:
    from collections.abc import Iterable

    from launcher.facts import Facts, Mpi

_TRY = "Try environment=packages, which installs it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Current:
    """The Python that runs the launcher, with what is installed in it."""

    kind: ClassVar[str] = "current"

    @property
    def traits(self) -> Traits:
        """See `Environment.traits`."""
        return Traits(own_python=True)

    def check(self, request: EnvironmentRequest, facts: Facts) -> Iterable[Problem]:
        """See `Environment.check`."""
        known = releases(request.framework.name)
        module = known[0].modules[0] if known else None
        if module is not None and module not in facts.modules:
            yield Problem("environment", self.kind, f"a Python that has {module}", _TRY)
        asked, installed = request.framework.version, facts.versions.get(module or "", "")
        if asked is not None and installed and not f"{installed}.".startswith(f"{asked.rstrip('.')}."):
            yield Problem("framework.version", asked, f"{installed}, which is installed", _TRY)
        if request.needs.horovod and "horovod" not in facts.modules:
            yield Problem("environment", self.kind, "a Python that has horovod", _TRY)

    def describe(self, request: EnvironmentRequest, facts: Facts) -> Iterable[str]:
        """See `Environment.describe`."""
        del request, facts
        yield f"python        {shlex.quote(sys.executable)}, with what is installed in it"

    def horovod_controllers(self, facts: Facts) -> tuple[str, ...]:
        """See `Environment.horovod_controllers`."""
        return facts.horovod_controllers or _horovod_controllers()

    def own_mpi(self) -> Mpi | None:
        """See `Environment.own_mpi`. What is there the probe finds: its programs come first on PATH."""
        return None

    def pinned(self, packages: Iterable[str]) -> None:
        """See `Environment.pinned`."""

    def prepare(self, request: EnvironmentRequest, facts: Facts, cache: Path, progress: Progress) -> Prepared:
        """See `Environment.prepare`."""
        del request, facts, cache, progress  # there is nothing to build
        return Prepared(key=self.kind, python=sys.executable, prefix=sys.prefix)


def _horovod_controllers() -> tuple[str, ...]:
    """Tell from Horovod's library what it was built with: importing it would take seconds."""
    found = find_spec("horovod")
    folders = found.submodule_search_locations if found else None
    for folder in folders or ():
        for library in Path(folder).glob("*/mpi_lib*.so"):
            with library.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
                names = {"mpi": b"libmpi.so", "gloo": b"gloo"}
                return tuple(name for name, mark in names.items() if content.find(mark) >= 0)
    return ()
