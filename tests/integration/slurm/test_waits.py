"""Why Slurm has a job wait, where the reason is the site's."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.integration.conftest import until
from tests.integration.slurm.lab import SlurmLab
from tests.integration.slurm.test_faults import SLEEPS

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from tests.cluster.machine import Cluster

QOS = "launcher-one"


@pytest.fixture
def lab(tmp_path: Path, cluster: Cluster) -> Iterator[SlurmLab]:
    """Launches onto the plain cluster: limits have nothing to do with networks and file systems."""
    made = SlurmLab(tmp_path, cluster)
    yield made
    made.clean_up()


@contextmanager
def configured(lab: SlurmLab, text: str) -> Generator[None]:
    """Restart the controller with more lines in slurm.conf, and afterwards without them."""
    conf = Path(lab.env["SLURM_CONF"])
    before = conf.read_text()

    def restart(text: str) -> None:
        lab.cluster.kill_daemon("slurmctld")
        conf.write_text(text)
        lab.cluster.start_daemon("slurmctld")
        until(lambda: lab.cluster.idle() == lab.cluster.nodes, "idle nodes", 120)

    restart(f"{before}{text}\n")
    try:
        yield
    finally:
        lab.slurm("scancel", "--user=root")
        until(lambda: not lab.slurm("squeue", "--noheader"), "no job", 90)
        restart(before)


@pytest.mark.parametrize(
    ("line", "option", "reason"),
    [
        ("Licenses=matlab:1", "additional_parameters={licenses: matlab}", "Licenses"),
        ("AccountingStorageEnforce=limits,qos", f"qos={QOS}", "QOSMaxJobsPerUserLimit"),
    ],
)
def test_a_limit_of_the_site_is_the_reason(lab: SlurmLab, line: str, option: str, reason: str) -> None:
    lab.script(SLEEPS)
    if "qos" in option:
        lab.slurm("sacctmgr", "--immediate", "add", "qos", QOS, "set", "MaxJobsPerUser=1")
        lab.slurm("sacctmgr", "--immediate", "modify", "user", "root", "set", f"qos+={QOS}")
    with configured(lab, line):
        lab.submit(f"compute.{option}")
        lab.running(lab.run(1), "up")
        lab.submit(f"compute.{option}")
        text = f"job {lab.job(lab.run(2))} is pending: {reason}"
        until(lambda: text in lab.command("runs", "show", "latest").stdout, text)
        assert text in lab.command("runs", "list").stdout
        assert lab.command("runs", "cancel", "mnist/1", "mnist/2").returncode == 0
    if "qos" in option:
        lab.slurm("sacctmgr", "--immediate", "delete", "qos", QOS)
