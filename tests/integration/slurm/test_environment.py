"""Environments that jobs build themselves, and that nodes keep on disks of their own."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from launcher.environment import remove
from launcher.environment.cache.folder import KEY_LENGTH
from launcher.spec import State
from launcher.store.lease import Lease
from launcher.store.runs import environment_of, read_run, request_cancel
from tests.integration.conftest import REPOSITORY, Lab, until
from tests.integration.slurm.lab import SlurmLab
from tests.local_package import put_package

if TYPE_CHECKING:
    from collections.abc import Iterator


SCRIPT = """\
import os, subprocess, sys, demo
from shutil import which
print(sys.prefix, demo.__file__, os.environ["VIRTUAL_ENV"], sep="\\n", flush=True)
print(subprocess.run(["demo-program"], capture_output=True, text=True, check=True).stdout, flush=True)
activate = ["sh", "-c", f". {sys.prefix}/bin/activate && command -v demo-program"]
print(subprocess.run(activate, capture_output=True, text=True, check=True).stdout, flush=True)
"""
SLEEPS = "import time; print('up', flush=True); time.sleep(300)"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Lab]:
    """Launches on this machine."""
    made = Lab(tmp_path)
    yield made
    made.clean_up()


def packages(folder: Path, **options: str) -> list[str]:
    """Return the options of an environment with one package that has a program; no index is asked."""
    wheel = folder / "demo-1-py3-none-any.whl"
    info = "demo-1.dist-info/"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("demo.py", "import sys\ndef main(): print('demo in', sys.prefix)\n")
        archive.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: demo\nVersion: 1\n")
        archive.writestr(info + "WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(info + "entry_points.txt", "[console_scripts]\ndemo-program = demo:main\n")
        archive.writestr(info + "RECORD", "")
    listed = folder / "requirements.txt"
    listed.write_text(f"demo @ {wheel.as_uri()}\n")
    words = [f"environment.{key}={value}" for key, value in options.items()]
    return ["environment=packages", f"environment.requirements_file={listed}", *words]


def log(lab: Lab, number: int = 1, rank: int = 0) -> list[str]:
    return (lab.run(number).logs / f"worker-{rank}.log").read_text().splitlines()


def staged(lab: SlurmLab) -> dict[str, str]:
    """Return what is in the local disks of nodes, but for what is always there."""
    return {
        node: lab.cluster.exec(node, ["sh", "-c", "ls -d /tmp/launcher-env-*"]).stdout
        for node in lab.cluster.nodes
    }


def test_a_job_builds_what_its_launch_left_to_it(lab: SlurmLab, tmp_path: Path) -> None:
    lab.script(SCRIPT)
    words = packages(tmp_path, build_on="job")
    done = lab.launch(*words, "nodes=2", "distribution=torch")
    assert done.returncode == 0, done.stderr
    run = read_run(lab.run())
    assert [str(phase.state) for phase in run.phases[:4]] == ["Preparing", "Queued", "Preparing", "Starting"]
    assert "Creating an environment" in (lab.run().logs / "environment.log").read_text()
    made = environment_of(lab.run())
    assert made is not None
    assert log(lab)[0] == made["prefix"]
    assert made["packages"] == [f"demo @ {(tmp_path / 'demo-1-py3-none-any.whl').as_uri()}"]
    assert made["key"] == run.submit["environment"]["key"]
    # The same is found at submit from then on, and by a rerun.
    assert lab.launch(*words).returncode == 0
    assert read_run(lab.run(2)).submit["environment"]["key"] == made["key"]
    assert lab.command("runs", "rerun", lab.run().id).returncode == 0
    assert environment_of(lab.run(3)) == {**made, "build": None}


def test_a_job_builds_local_packages(lab: SlurmLab, tmp_path: Path) -> None:
    put_package(tmp_path / "sub" / "pkgx", "value = 'mine'\n")
    words = packages(tmp_path, build_on="job")
    (tmp_path / "requirements.txt").write_text("-r sub/more.txt\n")
    (tmp_path / "sub" / "more.txt").write_text("./pkgx\n")
    lab.script("import pkgx; print(pkgx.value)")
    done = lab.launch(*words)
    assert done.returncode == 0, done.stderr
    assert log(lab) == ["mine"]
    made = environment_of(lab.run())
    assert made is not None
    assert made["packages"] == [f"pkgx @ {(tmp_path / 'sub' / 'pkgx').as_uri()}"]
    assert made["key"] == read_run(lab.run()).submit["environment"]["key"]


def test_a_local_package_that_the_node_does_not_see_is_named(lab: SlurmLab, tmp_path: Path) -> None:
    package = put_package(Path("/var/tmp") / f"launcher-{tmp_path.name}" / "pkgx", "")
    lab.cluster.exec("node2", ["mount", "-t", "tmpfs", "tmpfs", str(package.parent)])
    try:
        words = [*packages(tmp_path, build_on="job"), f"environment.pip_packages=[{package}]"]
        lab.script("import pkgx")
        done = lab.launch(*words, "compute.nodelist=node2")
    finally:
        lab.cluster.exec("node2", ["umount", "--lazy", str(package.parent)])
        shutil.rmtree(package.parent)
    assert done.returncode == 1
    cause = read_run(lab.run()).cause
    assert cause is not None
    assert f"node2 does not see {package}" in cause.message


def test_what_cannot_be_built_ends_the_run_with_the_tools_words(lab: SlurmLab, tmp_path: Path) -> None:
    lab.script(SCRIPT)
    words = packages(tmp_path, build_on="job")
    (tmp_path / "demo-1-py3-none-any.whl").write_text("no wheel")
    done = lab.launch(*words, "retries=1")
    assert done.returncode == 1
    cause = read_run(lab.run()).cause
    assert cause is not None
    assert (cause.kind, cause.phase) == ("environment", "Preparing")
    assert cause.message.startswith("the environment could not be built on node")
    assert "Installing packages failed" in cause.message
    assert any("demo" in line for line in cause.last_lines)


def test_members_of_an_array_build_once(lab: SlurmLab, tmp_path: Path) -> None:
    lab.script(SCRIPT)
    done = lab.launch("-m", *packages(tmp_path, build_on="job"), f"env.X={','.join(map(str, range(20)))}")
    assert done.returncode == 0, done.stderr
    [made] = list((tmp_path / "cache" / "environments").iterdir())
    assert (made / "build.log").read_text().count("uv venv") == 1
    assert {log(lab, number)[0] for number in range(1, 21)} == {
        json.loads((made / "ready.json").read_text())["prefix"]
    }
    assert not list((tmp_path / "cache" / "leases").iterdir())


def test_members_of_an_array_pack_once(lab: SlurmLab, tmp_path: Path) -> None:
    lab.script(SCRIPT)
    done = lab.launch("-m", *packages(tmp_path, build_on="job", stage="node"), "env.X=1,2,3,4,5,6,7,8")
    assert done.returncode == 0, done.stderr
    [made] = list((tmp_path / "cache" / "environments").iterdir())
    said = (made / "build.log").read_text()
    archives = [path for path in made.glob("*.tar.*") if path.suffix != ".json"]  # its size is in a record
    assert (said.count("$ tar "), len(archives)) == (1, 1)
    until(lambda: set(staged(lab).values()) == {""}, "nothing left on the nodes' disks")


def test_a_python_that_the_node_does_not_see_is_named(lab: SlurmLab, tmp_path: Path) -> None:
    lab.script(SCRIPT)
    words = packages(tmp_path, build_on="job")
    lab.cluster.exec("node2", ["mount", "-t", "tmpfs", "tmpfs", str(REPOSITORY)])
    try:
        done = lab.launch(*words, "compute.nodelist=node2", "compute.python=/usr/bin/python3")
    finally:
        lab.cluster.exec("node2", ["umount", "--lazy", str(REPOSITORY)])
    assert done.returncode == 1
    cause = read_run(lab.run()).cause
    assert cause is not None
    assert cause.kind == "environment"
    assert "node2 does not see" in cause.message
    assert "build_on=job" in cause.message


def test_canceling_ends_the_build(here: Lab, tmp_path: Path) -> None:
    here.script(SCRIPT)
    words = packages(tmp_path, build_on="job")
    assert here.launch(*words).returncode == 0
    made = environment_of(here.run())
    assert made is not None
    assert remove(tmp_path / "cache", made["key"])
    lease = Lease(tmp_path / "cache" / "leases", f"environment-{made['key'][:KEY_LENGTH]}")
    assert lease.try_take()  # so that the job waits for this process
    with lease:
        process = here.start(*words)
        told = here.run(2).logs / "environment.log"
        until(lambda: told.exists() and "Waiting" in told.read_text(), "the build")
        request_cancel(here.run(2))
        assert process.wait(60) == 1
    run = read_run(here.run(2))
    assert (run.state, run.cause and run.cause.phase) == (State.CANCELED, "Preparing")
    until(lambda: not here.processes(here.run(2)), "the end of its processes")


def test_nodes_keep_an_environment_on_disks_of_their_own(lab: SlurmLab, tmp_path: Path) -> None:
    lab.script(SCRIPT)
    words = packages(tmp_path, stage="node", build_on="job")
    done = lab.launch(*words, "nodes=3", "distribution=torch")
    assert done.returncode == 0, done.stderr
    for rank in range(3):
        prefix, module, variable, program, _, activated, _ = log(lab, rank=rank)
        assert prefix.startswith("/tmp/launcher-env-")
        assert module.startswith(prefix)
        assert variable == prefix
        assert program == f"demo in {prefix}"
        assert activated == f"{prefix}/bin/demo-program"
    until(lambda: set(staged(lab).values()) == {""}, "nothing left on the nodes' disks")


def test_what_others_use_stays_and_what_was_killed_is_removed(lab: SlurmLab, tmp_path: Path) -> None:
    lab.script(SLEEPS)
    words = [*packages(tmp_path, stage="node"), "compute.nodelist=node3"]
    for number in (1, 2):
        lab.submit(*words)
        lab.running(lab.run(number), "up")
    first = staged(lab)["node3"]
    assert first.count("/tmp/launcher-env-") == 2  # the folder and its lock
    assert lab.command("runs", "cancel", lab.run(1).id).returncode == 0
    lab.over(lab.run(1))
    assert staged(lab)["node3"] == first
    agents = [str(pid) for pid in lab.on("node3", f"job {lab.run(2).root}/job")]
    lab.cluster.exec("node3", ["kill", "-KILL", *agents])
    lab.over(lab.run(2))
    until(lambda: staged(lab)["node3"] == "", "nothing left on the node's disk")  # by the job's script
