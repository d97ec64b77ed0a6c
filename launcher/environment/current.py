"""`environment=current`: the Python that runs the launcher, as it is."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from launcher.environment.frameworks import releases
from launcher.errors import Problem
from launcher.spec import Facts, Prepared, Progress, RunSpec

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_TRY = "Try environment=packages, which installs it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Current:
    """The Python that runs the launcher, with what is installed in it."""

    kind: ClassVar[str] = "current"

    def check(self, spec: RunSpec, facts: Facts) -> Iterable[Problem]:
        """See `Environment.check`."""
        known = releases(spec.framework.name)
        module = known[0].modules[0] if known else None
        # scikit-learn is not among the modules that are probed: the script's own import tells
        if module in {"tensorflow", "torch"} and module not in facts.modules:
            yield Problem("environment", self.kind, f"a Python that has {module}", _TRY)
        needed = {"horovod": "horovod"}.get(spec.distribution.kind)
        if needed and needed not in facts.modules:
            yield Problem("environment", self.kind, f"a Python that has {needed}", _TRY)

    def horovod_controllers(self, facts: Facts) -> tuple[str, ...]:
        """See `Environment.horovod_controllers`."""
        return facts.horovod_controllers

    def prepare(self, spec: RunSpec, facts: Facts, cache: Path, progress: Progress) -> Prepared:
        """See `Environment.prepare`."""
        del spec, facts, cache, progress  # there is nothing to build
        return Prepared(key=self.kind, python=sys.executable, prefix=sys.prefix)
