"""A compute target that the launcher does not know: its class in the one table is all that there is of it."""
# ruff: noqa: ARG002  # a port gives more than each implementation uses

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import pytest

import launcher.compute
from launcher.__main__ import main
from launcher.capabilities import BAD, OK, Capabilities, Row
from launcher.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from launcher.facts import Facts
    from launcher.plan import Plan
    from launcher.session import Session
    from launcher.spec import Compute, LaunchRequest, RunSpec


@dataclass(frozen=True, kw_only=True)
class Lanes:
    """Machines in lanes, which nobody has."""

    kind: ClassVar[str] = "lanes"

    lane: str = "slow"
    max_parallel: int | None = None

    @property
    def features(self) -> Capabilities:
        return Capabilities(remote_start=True, port_range=(30000, 30100))

    def probe(self, spec: RunSpec, facts: Facts, session: Session | None) -> Facts:
        return replace(facts, cpus=7)

    def check(self, spec: RunSpec, facts: Facts) -> Iterable[Problem]:
        if self.lane == "none":
            yield Problem("compute.lane", self.lane, f"a lane for {facts.cpus} CPUs")

    def describe(self, request: LaunchRequest, plan: Plan, facts: Facts) -> Iterable[str]:
        yield f"lane          {self.lane}, {plan.nodes} node(s) of {facts.cpus} CPUs"

    def describe_jobs(self, members: Sequence[tuple[LaunchRequest, Plan]]) -> Iterable[str]:
        yield f"enter {self.lane} {len(members)} BOX"

    def check_rows(
        self, request: LaunchRequest, timeout_s: float, say: Callable[[str], None]
    ) -> Iterator[Row]:
        say(f"asks {self.lane} for {timeout_s:g} s")
        yield Row("lane", OK if self.lane == "slow" else BAD, self.lane, "Ask for another")

    def submit(self, folders: Sequence[Path], store: Path, facts: Facts, session: Session) -> None:
        raise AssertionError


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be in a project whose conf names the target, as an installed one's would."""
    target: type[Compute] = Lanes
    monkeypatch.setitem(launcher.compute.CHOICES, "lanes", target)
    conf = tmp_path / "conf" / "compute" / "lanes.yaml"
    conf.parent.mkdir(parents=True)
    conf.write_text("defaults:\n  - /schema/compute/lanes@_here_\n  - _self_\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAUNCHER_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("LAUNCHER_CACHE", str(tmp_path / "cache"))
    return tmp_path


WORDS = ("--config-dir=conf", "compute=lanes", "framework=python", "source=.", "command=[true]")


def test_a_dry_run_tells_what_the_target_tells_of_itself(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*WORDS, "nodes=3", "dry_run=true"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "compute       lanes lane=slow" in lines
    assert lines.index("lane          slow, 1 node(s) of 7 CPUs") < lines.index("enter slow 1 BOX")
    assert lines[-1] == "  BOX  the name of the container of a node"
    assert [path.name for path in project.iterdir()] == ["conf"]


def test_members_of_a_sweep_are_described_together(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-m", *WORDS, "env.X=1,2", "dry_run=true"]) == 0
    out = capsys.readouterr().out
    assert (out.count("lane          slow, 1 node(s)"), out.count("enter slow 2 BOX")) == (2, 1)


def test_plans_use_its_capabilities(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mpirun = project / "bin" / "mpirun"
    mpirun.parent.mkdir()
    mpirun.write_text("#!/bin/sh\necho 'mpirun (Open MPI) 4.1.4'\n")
    mpirun.chmod(0o755)
    monkeypatch.setenv("PATH", str(mpirun.parent))
    assert main([*WORDS, "distribution=mpi", "nodes=2", "dry_run=true"]) == 0
    assert "btl_tcp_port_min_v4 30000 --mca btl_tcp_port_range_v4 100" in capsys.readouterr().out


def test_its_problems_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*WORDS, "compute.lane=none", "distribution.start=srun", "distribution=mpi"]) != 0
    err = capsys.readouterr().err
    assert "compute.lane: got 'none'; expected a lane for 7 CPUs" in err
    assert "distribution.start: got 'srun'; expected mpirun with compute=lanes" in err


def test_compute_check_prints_its_rows(capsys: pytest.CaptureFixture[str]) -> None:
    check = ("compute", "check", "--json", "--timeout=9")
    assert main([*check, *WORDS]) == 0
    told = capsys.readouterr()
    row = {"what": "lane", "level": "ok", "found": "slow", "next": "Ask for another"}
    assert json.loads(told.out) == {"compute": "lanes", "ok": True, "rows": [row]}
    assert told.err == "asks slow for 9 s\n"
    assert main([*check, *WORDS, "compute.lane=fast"]) == 1
