"""A trivial run in a container beside `docker run` and TorchX, and an environment that is there already."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.launches import Project, peer, project
from benchmarks.paired import Bound, By, Comparison, in_turn, main
from tests.engine.images import BASE, TINY
from tests.engine.layout import Layout
from tests.engine.machine import up

if TYPE_CHECKING:
    from tests.engine.machine import Engine

TORCHX = ("torchx==0.7.0", "docker>=7.2", "setuptools<81")


def measure(pairs: int | None) -> list[Comparison]:
    """Time the same command in a container of the same image under each."""
    with tempfile.TemporaryDirectory(prefix="launcher-engine-", dir="/var/tmp") as folder:
        engine = up(Layout(root=Path(folder) / "engine"))
        try:
            with project(more=engine.variables) as here:
                return [*_runs(engine, here, pairs or 15), _build(engine, here, pairs or 15)]
        finally:
            engine.down()


def _runs(engine: Engine, here: Project, pairs: int) -> list[Comparison]:
    image = engine.image(TINY)
    ours = here.argv(
        "compute=docker", "framework=python", "environment=image", f"environment.image={image}", "data=none",
        "script=null", "command=[true]",
    )  # fmt: skip
    bare = ["docker", "run", "--rm", image, "true"]
    torchx = [
        str(peer("torchx-0.7.0", TORCHX).with_name("torchx")),
        "run",
        "--scheduler=local_docker",
        "--wait",
    ]
    torchx += ["--workspace=", "utils.sh", f"--image={image}", "true"]
    found: list[Comparison] = []
    for name, theirs, by, bound in (
        ("docker run", bare, By.DIFFERENCE, Bound(sign="<=", value=0.7)),
        ("TorchX local_docker", torchx, By.RATIO, Bound(sign="<=", value=0.9)),
    ):
        series = in_turn(lambda: here.seconds(ours), lambda theirs=theirs: here.seconds(theirs), pairs)
        what = Comparison(
            what="one trivial container", peer=name, unit="s", ours=series[0], theirs=series[1], by=by,
            bound=bound,
        )  # fmt: skip
        found.append(what)
    return found


def _build(engine: Engine, here: Project, pairs: int) -> Comparison:
    """Time the phase Preparing of a run whose image was built before."""
    argv = here.argv(
        "compute=docker", "framework=python", "environment=packages", "environment.pip_packages=[six]",
        f"environment.base_image={engine.image(BASE)}", "script=trivial.py", "data=none", "name=built",
    )  # fmt: skip

    def prepare() -> float:
        here.output(argv)
        newest = max((here.store / "runs" / "built").iterdir(), key=lambda path: int(path.name))
        phases = dict(json.loads((newest / "submit.json").read_text("utf-8"))["phases"])
        return phases["Queued"] - phases["Preparing"]

    first = prepare()
    again = tuple(prepare() for _ in range(pairs))
    return Comparison(
        what="an image that is built", peer="its first build", unit="s", ours=again, theirs=(first,) * pairs,
        by=By.ITSELF, bound=Bound(sign="<=", value=0.3),
    )  # fmt: skip


if __name__ == "__main__":
    main(measure, __doc__)
