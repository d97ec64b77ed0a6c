"""From the command line to the first rank's code on Slurm, and sweeps of arrays, beside real peers.

Needs what the tests of Slurm need: a cluster of four nodes is started on this machine.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from benchmarks.launches import PROGRAMS, hydra_app, project
from benchmarks.paired import Bound, By, Comparison, in_turn, main
from tests.cluster.layout import DEFAULT_ROOT, Layout
from tests.cluster.machine import up
from tests.sessions import claimed_root

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.launches import Project

ON_SLURM = ("compute=slurm", "framework=python", "data=none", "environment=current")
SUBMITIT = ("--multirun", "hydra/launcher=submitit_slurm", "hydra.launcher.timeout_min=5")
MEMBERS = 200

MPIRUN = """\
#!/bin/bash
#SBATCH --nodes={nodes} --ntasks-per-node=1 --output=/dev/null --chdir=/
exec mpirun --bind-to none -np {nodes} {program}
"""


def measure(pairs: int | None) -> list[Comparison]:
    """Start a cluster for all of them."""
    with claimed_root(DEFAULT_ROOT) as root:
        cluster = up(Layout(root=root))
        try:
            with project(within=cluster.shared, more=cluster.variables) as here:
                return [*_starts(here, pairs), *_sweeps(here, pairs)]
        finally:
            cluster.down()


def _starts(here: Project, pairs: int | None) -> list[Comparison]:
    said = here.root / "said"
    said.mkdir()
    program = f"{sys.executable} {PROGRAMS}/say_when.py {said}"
    found: list[Comparison] = []
    submitit = [*_app("slurm_app.py"), *SUBMITIT, f"+said={said}"]
    ours = here.argv(*ON_SLURM, "script=say_when.py", f"args.said={said}")
    series = in_turn(lambda: _began(here, ours, said), lambda: _began(here, submitit, said), pairs or 30)
    found.append(
        Comparison(
            what="command to the job's code", peer="hydra submitit_slurm", unit="s",
            ours=series[0], theirs=series[1], bound=Bound(sign="<=", value=0.75),
        )
    )  # fmt: skip
    for nodes in (1, 2):
        script = here.root / f"mpirun-{nodes}.sh"
        script.write_text(MPIRUN.format(nodes=nodes, program=program), encoding="utf-8")
        ours = here.argv(
            *ON_SLURM, "script=say_when.py", f"args.said={said}", "distribution=mpi", f"nodes={nodes}"
        )
        series = in_turn(
            lambda ours=ours, nodes=nodes: _began(here, ours, said, nodes),
            lambda script=script, nodes=nodes: _began(here, ["sbatch", "--wait", str(script)], said, nodes),
            pairs or 10,
        )
        found.append(
            Comparison(
                what=f"command to the last rank's line, {nodes} node(s)", peer="sbatch + mpirun", unit="s",
                ours=series[0], theirs=series[1], by=By.DIFFERENCE, bound=Bound(sign="<=", value=1.5),
            )
        )  # fmt: skip
    return found


def _sweeps(here: Project, pairs: int | None) -> list[Comparison]:
    bare = here.root / "array.sh"
    line = shlex.join([sys.executable, "-c", "pass"])
    bare.write_text(f"#!/bin/bash\n#SBATCH --output=/dev/null --chdir=/\n{line}\n", encoding="utf-8")
    array = ["sbatch", "--wait", f"--array=0-{MEMBERS - 1}", str(bare)]
    ours = here.argv(*ON_SLURM, "script=trivial.py", "--multirun", f"args.x=range(0,{MEMBERS})")
    submitit = [
        *_app("hydra_app.py"),
        *SUBMITIT,
        f"+x=range(0,{MEMBERS})",
        "hydra.launcher.array_parallelism=256",
    ]
    found: list[Comparison] = []
    for peer, theirs, bound, default in (
        ("bare array of python -c pass", array, Bound(sign="<=", value=2.0), 5),
        ("hydra submitit_slurm", submitit, Bound(sign="<=", value=0.25), 2),
    ):
        series = in_turn(
            lambda: here.seconds(ours),
            lambda theirs=theirs: here.seconds(theirs),
            min(pairs or default, default),
        )
        found.append(
            Comparison(
                what=f"sweep of {MEMBERS} trivial jobs", peer=peer, unit="s",
                ours=series[0], theirs=series[1], bound=bound,
            )
        )  # fmt: skip
    return found


def _app(program: str) -> list[str]:
    return [hydra_app()[0], str(PROGRAMS / program)]


def _began(here: Project, argv: Sequence[str], said: Path, ranks: int = 1) -> float:
    """Return the seconds from a command's start to the last of the moments that its ranks note."""
    for note in said.iterdir():
        note.unlink()
    started = time.time()
    done = subprocess.run(
        argv, cwd=here.root, env=here.environment, capture_output=True, text=True, check=False
    )
    notes = [float(note.read_text()) for note in said.iterdir()]
    if len(notes) != ranks:
        sys.exit(f"{argv} left {len(notes)} notes:\n{done.stdout}{done.stderr}")
    return max(notes) - started


if __name__ == "__main__":
    main(measure, __doc__)
