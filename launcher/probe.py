"""Reads the world into frozen facts, in bounded time and only what the spec depends on."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING

from launcher.compute import host
from launcher.facts import Facts
from launcher.secrets import look, named, wanted

if TYPE_CHECKING:
    from launcher.session import Session
    from launcher.spec import RunSpec

_MODULES = ("tensorflow", "torch", "horovod", "mpi4py", "sklearn")
_PACKAGES = {
    "tensorflow": ("tensorflow", "tensorflow-cpu"),
    "torch": ("torch",),
    "sklearn": ("scikit-learn",),
}


def probe(spec: RunSpec, session: Session | None = None) -> Facts:
    """Return what this machine has for a run.

    Args:
        spec: of the run.
        session: of the launch. None: nothing may be started, neither what speaks to an engine for a
            supervisor, and sweeps it, nor an image that nobody has looked into.
    """
    needs, own = spec.distribution.needs, spec.environment.traits.own_python
    secrets = look(named(wanted(spec).values()))
    facts = Facts(
        cpus=host.cpu_count(),
        memory_mib=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
        mpi=spec.environment.own_mpi() or host.read_mpi(current=own) if needs.mpi else None,
        cxx=host.compiler() if needs.mpi else None,
        modules=frozenset(name for name in _MODULES if find_spec(name)) if own else frozenset(),
        versions=_versions() if own and spec.framework.version is not None else {},
        unknown_secrets=secrets.unknown,
        secrets_file=secrets.file,
    )
    facts = spec.compute.probe(spec, facts, session)
    if not needs.horovod:
        return facts
    return replace(facts, horovod_controllers=spec.environment.horovod_controllers(facts))


def _versions() -> dict[str, str]:
    """Return the installed versions of frameworks, by module."""
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415  # few launches ask

    found: dict[str, str] = {}
    for module, names in _PACKAGES.items():
        for name in names:
            with suppress(PackageNotFoundError):
                found.setdefault(module, version(name))
    return found
