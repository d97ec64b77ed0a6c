"""Credentials in addresses reach the servers, and nothing else: no record, log, message or command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from launcher.environment.recipe.conda import solver
from launcher.spec import State
from launcher.store.runs import read_run
from tests.conda_channel import make_channel
from tests.integration.conftest import Lab
from tests.integration.leaks import Watch, leaks
from tests.integration.slurm.lab import OnCluster, SlurmLab
from tests.locked_server import LockedServer, locked_server, put_repository, put_wheel

if TYPE_CHECKING:
    from collections.abc import Iterator


pytestmark = pytest.mark.slow

JOB = ("environment=packages", "environment.build_on=job", "compute.login_shell=false")
SCRIPT = "import sys; print(open(sys.argv[2]).read(), open(sys.argv[4]).read()); import toola, toolb, toolc\n"


@pytest.fixture
def needle() -> str:
    """Return what is looked for."""
    return uuid4().hex


@pytest.fixture
def server(tmp_path: Path, needle: str) -> Iterator[LockedServer]:
    """Serve packages, a repository, and data; the login and the signature hold the needle."""
    with locked_server(tmp_path.parent / f"{tmp_path.name}-site", f"user:{needle}pw", f"{needle}sig") as made:
        for name in ("toola", "toolb"):
            put_wheel(made.folder, name)
        put_repository(made.folder, "toolc")
        (made.folder / "data.txt").write_text("one")
        (made.folder / "signed.txt").write_text("two")
        yield made


@pytest.fixture
def lab(lab: Lab, tmp_path: Path) -> Lab:
    lab.script(SCRIPT)
    lab.env["UV_CACHE_DIR"] = str(tmp_path / "uv")
    lab.env["XDG_CONFIG_HOME"] = str(tmp_path / "nothing")
    return lab


def words(server: LockedServer) -> list[str]:
    """Return a launch with a credential in every place of an address."""
    packages = [
        f"toola @ {server.address('toola-1.0-py3-none-any.whl')}",
        f"toolc @ git+{server.address('toolc.git')}",
    ]
    file = server.folder.parent / f"{server.folder.name}.txt"
    file.write_text(f"--extra-index-url {server.address('simple')}\ntoolb\n")
    return [
        "environment=packages",
        f"environment.pip_packages={json.dumps(packages)}",
        f"environment.requirements_file={file}",
        f"data.inputs.plain.uri={server.address('data.txt')}",
        f'data.inputs.signed.uri="{server.signed("signed.txt")}"',
        "args.a=${data:plain}/data.txt",
        "args.b=${data:signed}/signed.txt",
        f"env.DATABASE={server.address('db', scheme='postgres')}",
    ]


def told(lab: Lab, *line: str) -> str:
    """Return all that a command prints."""
    done = lab.command(*line)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_a_launch(lab: Lab, server: LockedServer, needle: str, tmp_path: Path) -> None:
    line = words(server)
    dry = lab.launch(*line, "dry_run=true")
    assert dry.returncode == 0, dry.stderr
    with Watch(needle) as watch:
        done = lab.launch(*line)
    assert done.returncode == 0, done.stderr
    assert "one two" in done.stdout
    shown = [told(lab, *verb) for verb in (
        ("runs", "show", "mnist/1"), ("runs", "show", "mnist/1", "--json"), ("runs", "list", "--json"),
        ("env", "list"),
    )]  # fmt: skip
    assert needle not in "".join([dry.stdout, dry.stderr, done.stdout, done.stderr, *shown])
    assert watch.found == set()
    assert leaks(needle, tmp_path) == []


def test_a_launch_that_fails(lab: Lab, server: LockedServer, needle: str, tmp_path: Path) -> None:
    """The cause, the log of the build and what is printed name the address without the login."""
    line = [
        "environment=packages",
        f"environment.pip_packages=['x @ {server.address('none-1.0-py3-none-any.whl')}']",
    ]
    done = lab.launch(*line)
    assert done.returncode == 1
    assert f"http://***@{server.host}/none" in done.stdout + done.stderr
    gone = lab.launch(f"data.inputs.a.uri={server.address('none.txt')}")
    assert gone.returncode == 1
    wrong = lab.launch(f"args.a={server.address('x')}", "nodes=0", f"command=['{server.signed('y')}']")
    assert wrong.returncode == 2
    assert f"args.a: got 'http://***@{server.host}/x'" in wrong.stderr
    assert needle not in "".join(each.stdout + each.stderr for each in (done, gone, wrong))
    assert leaks(needle, tmp_path) == []


def test_a_sweep_and_its_members(lab: Lab, server: LockedServer, needle: str, tmp_path: Path) -> None:
    place = f"environment.pip_packages=['toola @ {server.address('toola-1.0-py3-none-any.whl')}']"
    lab.script("import sys, toola; sys.exit('2' in sys.argv)\n")
    done = lab.launch("-m", "environment=packages", place, "args.x=1,2")
    assert done.returncode == 1, done.stderr
    again = lab.command("sweeps", "resume", "latest")
    assert again.returncode == 1, again.stderr
    shown = told(lab, "sweeps", "show", "latest")
    assert needle not in done.stdout + done.stderr + again.stdout + again.stderr + shown
    assert leaks(needle, tmp_path) == []


def test_what_runs_again_finds_the_credential_again(
    lab: Lab, server: LockedServer, needle: str, tmp_path: Path
) -> None:
    line = words(server)
    assert lab.launch(*line).returncode == 0
    shutil.rmtree(tmp_path / "cache")
    name = "LAUNCHER_CREDENTIAL_127_0_0_1"
    done = lab.command("runs", "rerun", "mnist/1")
    assert done.returncode == 2
    assert (
        f"environment.pip_packages[0]: got '${{secret:{name}}}'; expected a value: the variable"
        in done.stderr
    )
    assert not lab.run(2).root.exists()
    lab.env[name], lab.env[f"{name}_X_AMZ_SIGNATURE"] = f"user:{needle}pw", f"{needle}sig"
    done = lab.command("runs", "rerun", "mnist/1")
    assert done.returncode == 0, done.stderr
    assert read_run(lab.run(2)).state is State.COMPLETED
    assert leaks(needle, tmp_path) == []


def test_another_password_gives_the_same_environment(lab: Lab, server: LockedServer, tmp_path: Path) -> None:
    file = tmp_path / "requirements.txt"
    keys: set[str] = set()
    for login in (server.login, "user:other"):
        file.write_text(f"--extra-index-url http://{login}@{server.host}/simple\ntoolb\n")
        wheel = f"http://{login}@{server.host}/toola-1.0-py3-none-any.whl"
        lab.script("import toola, toolb\n")
        done = lab.launch(
            "environment=packages", f"environment.requirements_file={file}",
            f"environment.pip_packages=['toola @ {wheel}']",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        keys.add(
            json.loads(lab.run(max(lab.store.numbers("mnist"))).submit.read_text())["environment"]["key"]
        )
    assert len(keys) == 1
    again = lab.command("runs", "rerun", "mnist/1")
    assert again.returncode == 0, f"what is there needs no credential: {again.stderr}"


@pytest.mark.skipif(solver() is None, reason="no solver for conda")
def test_a_channel(lab: Lab, server: LockedServer, needle: str, tmp_path: Path) -> None:
    make_channel(server.folder / "channel")
    lab.script("import condademo\n")
    with Watch(needle) as watch:
        done = lab.launch(
            "environment=packages", "environment.conda_packages=[condademo]",
            f"environment.channels=['{server.address('channel')}']",
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert watch.found == set()
    assert leaks(needle, tmp_path) == []


def test_git_keeps_its_configuration(lab: Lab, server: LockedServer) -> None:
    """What the shell gives git by variables counts as well."""
    lab.env |= {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": f"url.http://{server.host}/.insteadOf"}
    lab.env["GIT_CONFIG_VALUE_0"] = "http://mirror.invalid/"
    lab.script("import toolc\n")
    address = f"git+http://{server.login}@{server.host}/toolc.git"
    done = lab.launch("environment=packages", f"environment.pip_packages=['toolc @ {address}']")
    assert done.returncode == 0, done.stderr


class TestSlurm(OnCluster):
    """An environment that a job builds on another node."""

    def test_a_build_in_a_job(self, lab: SlurmLab, needle: str, tmp_path: Path) -> None:
        lab.script("import toola, toolb; print('both')\n")
        site = tmp_path.parent / f"{tmp_path.name}-site"
        head = lab.cluster.layout.head_address
        with locked_server(site, f"user:{needle}", needle, head) as server, Watch(needle) as watch:
            for name in ("toola", "toolb"):
                put_wheel(site, name)
            file = site.parent / f"{site.name}.txt"
            file.write_text(f"--index-url {server.address('simple')}\ntoolb\n")
            wheel = server.address("toola-1.0-py3-none-any.whl")
            done = lab.launch(
                *JOB, f"environment.pip_packages=['toola @ {wheel}']", f"environment.requirements_file={file}"
            )
        assert done.returncode == 0, done.stderr
        assert needle not in done.stdout + done.stderr
        assert watch.found == set()
        assert leaks(needle, tmp_path) == []
