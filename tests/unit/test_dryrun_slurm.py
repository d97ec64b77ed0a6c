"""What a dry run shows of Slurm: the scripts that sbatch would get, once for members that share an array."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from launcher.compute.containers import Container, Runtime
from launcher.compute.local import Local
from launcher.compute.slurm.options import Signal
from launcher.compute.slurm.target import Slurm
from launcher.data.inputs import Inputs
from launcher.distribution.single import Single
from launcher.distribution.torch import Torch
from launcher.dryrun import describe
from launcher.environment.current import Current
from launcher.facts import Facts
from launcher.spec import Compute, LaunchRequest, Resources, RunSpec

GOLDEN = Path(__file__).parent / "golden"
SITE = Slurm(
    partition="gpu",
    account="vision",
    qos="long",
    exclude="bad[1-2]",
    gpu_type="a100",
    reservation="class",
    setup=["module load cuda"],
    teardown=['rm -rf "$TMPDIR/x y"'],
    python="python3",
    signal=Signal.USR1,
    grace_s=120,
    srun_args=["--cpu-bind=verbose"],
    additional_parameters={"switches": 1, "hint": None},
)

PODMAN = Container(image="registry.site/image:1", mounts=["/scratch:/scratch"], options=["--shm-size=8g"])
APPTAINER = Container(runtime=Runtime.apptainer, image="/images/a.sif")


def asked(compute: Compute, **fields: Any) -> LaunchRequest:
    resources = Resources(**fields.pop("resources", {}))
    distribution = fields.pop("distribution", Torch() if resources.nodes > 1 else Single())
    spec = RunSpec(
        name="mnist", source=Path("/source"), script="train.py", resources=resources,
        distribution=distribution, environment=Current(), data=Inputs(), compute=compute, **fields,
    )  # fmt: skip
    return LaunchRequest(spec=spec, store=Path("/sto re"), config="")


def shown(*requests: LaunchRequest) -> str:
    members = [(request, request.spec.distribution.plan(request.spec, Facts())) for request in requests]
    lines = [line for member in members for line in describe(*member)] if len(members) == 1 else []
    return "\n".join([*lines, *requests[0].spec.compute.describe_jobs(members)]) + "\n"


BIG = {"nodes": 3, "processes_per_node": 2, "gpus_per_node": 2, "cpus_per_process": 4, "memory_gib": 1.5,
       "time_limit_min": 90.5}  # fmt: skip

SMALL = {"nodes": 2, "gpus_per_node": 1}


@pytest.mark.parametrize(
    ("name", "requests"),
    [
        ("slurm", [asked(Slurm(python="python3"))]),
        ("slurm_site", [asked(SITE, resources=BIG, retries=2)]),
        ("slurm_sweep", [asked(Slurm(python="python3", max_parallel=2), resources={"cpus_per_process": cpus})
                         for cpus in (1, 1, 2)]),
        ("slurm_podman", [asked(Slurm(python="python3", container=PODMAN), resources=SMALL)]),
        ("slurm_apptainer", [asked(Slurm(python="python3", container=APPTAINER))]),
    ],
)  # fmt: skip
def test_scripts(name: str, requests: list[LaunchRequest], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    monkeypatch.setattr(os, "getgid", lambda: 100)
    text = shown(*requests)
    golden = GOLDEN / f"dry_run_{name}.txt"
    if os.environ.get("LAUNCHER_UPDATE_GOLDEN"):
        golden.write_text(text)
    assert text == golden.read_text(), "rerun with LAUNCHER_UPDATE_GOLDEN=1, then read the diff"


def test_another_compute_has_no_script() -> None:
    assert "sbatch" not in shown(asked(Local()))


def test_nodes_without_processes_have_no_agents() -> None:
    request = asked(Slurm(python="python3"), resources={"nodes": 3}, distribution=Single())
    assert "--nodes=3" in (text := shown(request))
    assert "agents of the other nodes" not in text
    assert "agents of the other nodes" in shown(asked(Slurm(python="python3"), resources={"nodes": 3}))
