"""What compute=docker finds in the world: the engine, and the MPI of images."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from launcher.compute.containers import MPI
from launcher.compute.host import mpi_of
from launcher.engine.client import connect, read_engine
from launcher.engine.helper import Helper
from launcher.engine.images import find
from launcher.engine.look import look, remembered
from launcher.facts import Engine, Mpi
from launcher.paths import cache_root

if TYPE_CHECKING:
    from launcher.facts import Facts
    from launcher.session import Session
    from launcher.spec import RunSpec

_USUAL_MPI = Mpi(mpirun="mpirun", flavour="openmpi", version="4.1", compiler="mpicxx")
"""Of images."""


def read_facts(spec: RunSpec, given: str | None, facts: Facts, session: Session | None) -> Facts:
    """Return facts of the engine, with the MPI of the image in the place of this host's.

    Args:
        spec: of the run.
        given: the MPI of the image, as `compute.mpi` has it.
        facts: of this host.
        session: see `launcher.probe`.
    """
    helper = None if session is None else session.open(Helper)
    told = None if helper is None else helper.ask("about")
    engine = read_engine() if told is None else Engine(**told)
    facts = replace(facts, engine=engine)
    traits = spec.environment.traits
    if helper is not None and traits.complete and spec.compute.features.pull != "always":
        there = helper.ask("find", image=traits.base)
        facts = replace(facts, image=there["reference"] if there else None)
    if not spec.distribution.needs.mpi:
        return facts
    told, own = MPI.fullmatch(given or ""), spec.environment.own_mpi()
    if told:
        return replace(facts, mpi=replace(_USUAL_MPI, flavour=told[1], version=told[2]))
    if own is not None:
        return replace(facts, mpi=replace(own, mpirun="mpirun"))
    return replace(
        facts, mpi=_USUAL_MPI if engine.problem else _mpi_in_image(spec, touch=session is not None)
    )


def _mpi_in_image(spec: RunSpec, *, touch: bool) -> Mpi | None:
    """Return the MPI of a run's image, or of that which its image begins with; None where it has none.

    Open MPI 4 is taken for what cannot be known yet, and is what is installed where a base has none.
    """
    name, whole = spec.environment.traits.base, spec.environment.traits.complete
    if not name:
        return _USUAL_MPI
    with closing(connect()) as client:
        there = find(client, name)
        inside = remembered(there.id, cache_root()) if there is not None else None
        if inside is None and there is not None and touch:
            inside = look(client, there.id, cache_root())
    if inside is not None and inside.mpirun:
        found = mpi_of("mpirun", inside.mpirun, inside.programs.get("mpicxx"))
        return found if whole else replace(found, compiler="mpicxx")  # where Horovod is compiled there is one
    return None if whole and inside is not None else _USUAL_MPI
