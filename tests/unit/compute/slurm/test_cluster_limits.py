"""A cluster's limits, from what its tools print."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from launcher.compute import scheduler_cache
from launcher.compute.scheduler_cache import read_limits
from launcher.compute.slurm.cluster_limits import minutes
from launcher.compute.slurm.target import Slurm
from launcher.facts import Cluster, Partition
from launcher.store import records
from tests.stand_ins import StandIns

SINFO = """\
gpu*|6|64|512000|gpu:a100:4(S:0-1)|2-00:00:00|1-4
gpu*|2|128+|1031000+|gpu:a100:8(S:0-1),gpu:h100:2,nvme:1|2-00:00:00|1-4
cpu|100|32|128000|(null)|infinite|1-infinite
many|2000|32|128000|gpu:2|30:00|2000
a line that says nothing
"""
CONFIG = "Configuration data\nMaxArraySize            = 1001\nMaxJobCount             = 10000\n"


def read_cluster() -> Cluster | None:
    return read_limits(Slurm().scheduler())


@pytest.fixture
def site(stand_ins: StandIns) -> StandIns:
    """Return a cluster's tools."""
    stand_ins.make("sbatch")
    stand_ins.make("srun")
    stand_ins.make("sinfo", says=SINFO)
    stand_ins.make("scontrol", says=CONFIG)
    return stand_ins


@pytest.mark.usefixtures("site")
def test_limits_of_partitions() -> None:
    found = read_cluster()
    assert found is not None
    assert found.partitions == {
        "gpu": Partition(nodes=6, cpus=128, memory_mib=1031000, gpus=10, time_limit_min=2880.0),
        "cpu": Partition(nodes=100, cpus=32, memory_mib=128000, gpus=0, time_limit_min=None),
        "many": Partition(nodes=2000, cpus=32, memory_mib=128000, gpus=2, time_limit_min=30.0),
    }
    assert (found.default_partition, found.max_array) == ("gpu", 1000)


def test_what_was_found_is_kept_for_a_while(site: StandIns, cache: Path) -> None:
    assert read_cluster() == read_cluster()
    assert len(site.calls("sinfo")) == len(site.calls("scontrol")) == 1
    [kept] = (cache / "slurm").iterdir()
    for age in (-60.0, scheduler_cache.LIMITS_KEEP_S + 1):  # of a clock that was set back, and too old
        records.write(kept, {**(records.read(kept) or {}), "time": time.time() - age})
        read_cluster()
    assert len(site.calls("sinfo")) == 3


def test_other_clusters_have_limits_of_their_own(
    site: StandIns, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_cluster()
    monkeypatch.setenv("SLURM_CONF", "/etc/other.conf")
    site.make("sinfo", says="debug*|1|4|8000|(null)|infinite|1-infinite\n")
    found = read_cluster()
    assert found is not None
    assert list(found.partitions) == ["debug"]
    assert len(list((cache / "slurm").iterdir())) == 2


def test_tools_that_do_not_answer_are_asked_again(site: StandIns, cache: Path) -> None:
    for name in ("sinfo", "scontrol"):
        site.make(name, "echo 'Unable to contact slurm controller' >&2; exit 1")
    found = read_cluster()
    assert found is not None
    assert (found.partitions, found.default_partition, found.max_array) == ({}, None, 1000)
    assert not (cache / "slurm").exists()
    site.make("sinfo", says=SINFO)
    again = read_cluster()
    assert again is not None
    assert again.partitions


@pytest.mark.usefixtures("site")
def test_a_cache_that_cannot_be_written(cache: Path) -> None:
    cache.touch()
    found = read_cluster()
    assert found is not None
    assert found.partitions


def test_a_host_that_submits_to_none(stand_ins: StandIns, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(stand_ins.folder))
    assert read_cluster() is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [("infinite", None), ("UNLIMITED", None), ("n/a", None), ("", None), ("30", 30.0), ("30:00", 30.0),
     ("1:30", 1.5), ("2:00:00", 120.0), ("1-00:00:00", 1440.0), ("7-12", 7 * 1440.0 + 720),
     ("1-2:30", 1590.0), ("365-00:00:30", 365 * 1440.0 + 0.5)],
)  # fmt: skip
def test_slurms_times(text: str, expected: float | None) -> None:
    assert minutes(text) == expected
