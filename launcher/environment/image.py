"""`environment=image`: an image from a registry, or from the engine itself, as it is."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from launcher.capabilities import Traits
from launcher.environment.registry import Registry, check_registry, login_of
from launcher.errors import EngineError, Problem
from launcher.spec import Prepared

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from launcher.capabilities import EnvironmentRequest
    from launcher.facts import Facts, Mpi
    from launcher.spec import Progress, RunSpec


def bring(reference: str, spec: RunSpec, progress: Progress) -> str | None:
    """Have the image of an earlier run in the engine again; return why it cannot be had.

    Raises:
        EngineError: the engine cannot be reached.
    """
    from launcher.engine.client import connect  # noqa: PLC0415  # imports the SDK
    from launcher.engine.images import ensure, find  # noqa: PLC0415

    with closing(connect()) as client:
        if find(client, reference) is not None:
            return None
    if reference.startswith("sha256:"):
        return f"{reference}: this image is no longer in the engine, and it is in no registry"
    options = getattr(spec.environment, "registry", Registry())  # of any environment that may have one
    try:
        ensure(reference, spec.compute.features.pull, login_of(options), progress)
    except EngineError as error:
        return str(error)
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image with everything that the script needs. It needs `sh`, and for a script a Python."""

    kind: ClassVar[str] = "image"

    image: str | None = None
    """`registry/name:tag` or `name@sha256:…`."""
    python: str = "python3"
    """Program in it that runs the script."""
    registry: Registry = field(default_factory=Registry)
    """Who pulls it, where Docker's own configuration does not say so."""

    @property
    def traits(self) -> Traits:
        """See `Environment.traits`."""
        return Traits(base=self.image or "", complete=True, image=self.image or "")

    def check(self, request: EnvironmentRequest, facts: Facts) -> Iterable[Problem]:
        """See `Environment.check`."""
        del facts
        if not request.target.images:
            option = request.target.container_option
            hint = "Choose compute=docker" + (f", or {option} with environment=current" if option else "")
            yield Problem("environment", self.kind, f"another with compute={request.compute}", hint)
        if self.image is None:
            yield Problem("environment.image", None, "the name of an image", "environment.image=NAME:TAG")
        yield from check_registry(self.registry)

    def describe(self, request: EnvironmentRequest, facts: Facts) -> Iterable[str]:
        """See `Environment.describe`."""
        from launcher.environment.describe_packages import PULL  # noqa: PLC0415  # as with packages

        del facts
        yield f"image         {self.image}, {PULL[request.target.pull]}"

    def horovod_controllers(self, facts: Facts) -> tuple[str, ...]:
        """See `Environment.horovod_controllers`. It is taken to have what is asked for."""
        return facts.horovod_controllers or ("mpi", "gloo")

    def own_mpi(self) -> Mpi | None:
        """See `Environment.own_mpi`. The probe looks into it."""
        return None

    def pinned(self, packages: Iterable[str]) -> None:
        """See `Environment.pinned`."""

    def prepare(self, request: EnvironmentRequest, facts: Facts, cache: Path, progress: Progress) -> Prepared:
        """See `Environment.prepare`."""
        del cache
        assert self.image is not None, "checked"  # noqa: S101
        reference = facts.image
        if reference is None:
            from launcher.engine.images import ensure  # noqa: PLC0415  # imports the SDK

            reference = ensure(self.image, request.target.pull, login_of(self.registry), progress).reference
        return Prepared(key=reference, python=self.python, prefix="", image=reference)
