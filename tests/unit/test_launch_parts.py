"""What a launch is made of: the probe, with fake tools on PATH, and the dry run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from launcher.capabilities import Framework
from launcher.compute.local import Local
from launcher.data.inputs import Inputs
from launcher.distribution.horovod import Horovod
from launcher.distribution.mpi import MpiRun
from launcher.distribution.single import Single
from launcher.distribution.tensorflow import ParameterServer
from launcher.dryrun import describe
from launcher.environment.current import Current
from launcher.facts import Facts, Mpi
from launcher.probe import probe
from launcher.spec import LaunchRequest, Resources, RunSpec

if TYPE_CHECKING:
    from collections.abc import Callable

    from launcher.spec import Distribution

GOLDEN = Path(__file__).parent / "golden"


def spec_of(distribution: Distribution, gpus: int = 0, **fields: Any) -> RunSpec:
    return RunSpec(
        name="mnist",
        source=Path("/source"),
        script="train.py",
        args=("--name", "a b"),
        resources=Resources(gpus_per_node=gpus, **fields.pop("resources", {})),
        distribution=distribution,
        environment=Current(),
        data=Inputs(),
        compute=Local(),
        **fields,
    )


# --- probe: fake tools on PATH ---------------------------------------------------------------------


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Return what puts a tool on a PATH that holds nothing else."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def put(name: str, script: str) -> None:
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)

    return put


@pytest.mark.parametrize(
    ("told", "flavour", "version"),
    [
        (
            "mpirun (Open MPI) 4.1.4\n\nReport bugs to http://www.open-mpi.org/community/help/",
            "openmpi",
            "4.1.4",
        ),
        ("mpirun (Open MPI) 5.0.11", "openmpi", "5.0.11"),
        ("HYDRA build details:\n    Version:      4.1\n    Release Date: 2023", "mpich", "4.1"),
        ("Intel(R) MPI Library for Linux* OS, Version 2021.19 Build 2026", "intel", "2021.19"),
        ("something else", "unknown", "0"),
    ],
)
def test_which_mpi(
    tool: Callable[[str, str], None], tmp_path: Path, told: str, flavour: str, version: str
) -> None:
    tool("mpirun", f"/bin/cat <<'END'\n{told}\nEND")
    tool("mpicxx", "")
    found = probe(spec_of(MpiRun())).mpi
    folder = tmp_path / "bin"
    assert found == Mpi(
        mpirun=f"{folder}/mpirun", flavour=flavour, version=version, compiler=f"{folder}/mpicxx"
    )
    assert found is not None
    assert found.major == int(version.split(".", maxsplit=1)[0])


def test_nothing_is_probed_that_the_run_does_not_need(
    tool: Callable[[str, str], None], tmp_path: Path
) -> None:
    for name in ("mpirun", "nvidia-smi"):
        tool(name, f"echo called >{tmp_path}/called")
    facts = probe(spec_of(Single()))
    assert (facts.mpi, facts.gpus, facts.cxx) == (None, (), None)
    assert facts.cpus >= 1
    assert not (tmp_path / "called").exists()


@pytest.mark.parametrize(
    ("script", "gpus"),
    [
        ("echo 0; echo ' 1'", ("0", "1")),
        ("echo 'NVIDIA-SMI has failed'; exit 9", ()),
        ("printf '0\\n\\377\\n'", ("0",)),
    ],
)
def test_gpus(tool: Callable[[str, str], None], script: str, gpus: tuple[str, ...]) -> None:
    tool("nvidia-smi", script)
    assert probe(spec_of(Single(), gpus=1)).gpus == gpus


def test_without_tools_there_is_nothing(tool: Callable[[str, str], None]) -> None:
    del tool
    facts = probe(spec_of(Horovod()))
    assert (facts.mpi, facts.cxx) == (None, None)
    assert isinstance(facts.horovod_controllers, tuple)


def test_a_tool_that_hangs_or_is_broken_is_given_up(
    tool: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("launcher.compute.host._TIMEOUT_S", 0.2)
    tool("nvidia-smi", "exec /bin/sleep 60")
    assert probe(spec_of(Single(), gpus=1)).gpus == ()
    (tmp_path / "bin" / "nvidia-smi").write_text("#!/no/such/interpreter\n")
    assert probe(spec_of(Single(), gpus=1)).gpus == ()


def test_secrets_are_looked_for_but_not_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "kept"
    file.touch(0o600)
    file.write_text("FILED=hidden")
    monkeypatch.setenv("LAUNCHER_SECRETS", str(file))
    monkeypatch.setenv("SHOWN", "hidden")
    facts = probe(spec_of(Single(), env={"A": "@{secret.SHOWN}", "B": "@{secret.FILED}@{secret.GONE}"}))
    assert (list(facts.unknown_secrets), facts.secrets_file) == (["GONE"], file)
    assert "hidden" not in repr(facts)
    assert probe(spec_of(Single(), env={"A": "@{secret.SHOWN}"})).secrets_file is None


# --- dry run: golden -------------------------------------------------------------------------------

MPI = Facts(mpi=Mpi(mpirun="/usr/bin/mpirun", flavour="openmpi", version="4.1.4"))


@pytest.mark.parametrize(
    ("name", "spec"),
    [
        (
            "single",
            spec_of(Single(), retries=2, env={"A": "b"}, framework=Framework(name="sklearn", version="1.5")),
        ),
        ("mpi", spec_of(MpiRun(), resources={"nodes": 2}, env={"A": "b"})),
        ("parameter_server", spec_of(ParameterServer(), resources={"nodes": 2})),
    ],
)
def test_dry_runs(name: str, spec: RunSpec) -> None:
    request = LaunchRequest(spec=spec, store=Path("/store"), config="")
    text = "\n".join(describe(request, spec.distribution.plan(spec, MPI))) + "\n"
    golden = GOLDEN / f"dry_run_{name}.txt"
    if os.environ.get("LAUNCHER_UPDATE_GOLDEN"):
        golden.write_text(text)
    assert text == golden.read_text(), "rerun with LAUNCHER_UPDATE_GOLDEN=1, then read the diff"
