"""An environment on four nodes' own disks at once, beside unpacking its archive once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from benchmarks.launches import project
from benchmarks.paired import Bound, Comparison, in_turn, main
from launcher.agent.base import process_identity
from launcher.agent.node import local_env
from launcher.compute.agent_code import install
from launcher.environment import Packages
from launcher.environment.build.builder import build_once
from launcher.environment.cache.archive import packed
from launcher.environment.recipe.interpreters import choose_interpreter
from launcher.environment.recipe.key import Recipe
from launcher.paths import StoreFolder

if TYPE_CHECKING:
    from pathlib import Path

    from launcher.spec import Prepared

NODES = 4
REQUIREMENTS = ("numpy",)


class Quiet:
    """Hears nothing."""

    def step(self, text: str, done: float | None = None) -> None:
        """See `Progress.step`."""


def measure(pairs: int | None) -> list[Comparison]:
    """Four folders of this machine act as the disks: they share its CPUs and its disk, as nodes do not."""
    with project() as here:
        cache = here.root / "cache"
        recipe = Recipe(
            interpreter=choose_interpreter(Packages().python, None, cache), requirements=REQUIREMENTS
        )
        made = packed(build_once(recipe, recipe.key(), cache, Quiet()), cache, Quiet())
        agent = install(StoreFolder(here.store))

        def all_nodes() -> float:
            return _staged(agent, made, NODES)

        def one_unpack() -> float:
            return _unpacked(made, 1)

        def all_unpacks() -> float:
            return _unpacked(made, NODES)

        bound = Bound(sign="<=", value=1.3)
        found: list[Comparison] = []
        for peer, theirs, wanted in (
            ("one tar -x", one_unpack, bound),
            ("4 tar -x at once", all_unpacks, None),
        ):
            series = in_turn(all_nodes, theirs, pairs or 10)
            found.append(
                Comparison(
                    what="stage to 4 nodes",
                    peer=peer,
                    unit="s",
                    ours=series[0],
                    theirs=series[1],
                    bound=wanted,
                )
            )
    return found


def _unpacked(made: Prepared, times: int) -> float:
    """Return how long so many `tar` take that unpack it side by side."""
    with TemporaryDirectory() as disk:
        started = time.perf_counter()
        running: list[subprocess.Popen[bytes]] = []
        for number in range(times):
            own = f"{disk}/{number}"
            os.mkdir(own)  # noqa: PTH102
            running.append(subprocess.Popen(["tar", "-x", "-a", "-f", str(made.archive), "-C", own]))
        assert [process.wait() for process in running] == [0] * times
        return time.perf_counter() - started


def _staged(agent: Path, made: Prepared, nodes: int) -> float:
    """Return how long the agents of so many disks take; what they made is removed."""
    with TemporaryDirectory() as disk:
        running: list[subprocess.Popen[bytes]] = []
        started = time.perf_counter()
        for node in range(nodes):
            own = f"{disk}/{node}"
            os.mkdir(own)  # noqa: PTH102
            into = f"{own}/{local_env.place(made.prefix, '').split('/', 2)[2]}"
            order = {
                "archive": made.archive, "prefix": made.prefix, "into": into, "user": f"launcher-{node}",
                "python": made.python.replace(made.prefix, into), "owner": process_identity.identity(),
            }  # fmt: skip
            argv = [sys.executable, "-I", "-S", str(agent), "stage", json.dumps(order)]
            running.append(subprocess.Popen(argv, env={**os.environ, "TMPDIR": own}))
        assert [process.wait() for process in running] == [0] * nodes
        return time.perf_counter() - started


if __name__ == "__main__":
    main(measure, __doc__)
