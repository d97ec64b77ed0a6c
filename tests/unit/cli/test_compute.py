"""`compute check`: this machine, and what rows the answers of a cluster's nodes make."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from launcher.__main__ import main
from launcher.cli.completion import complete
from launcher.compute.check_nodes import node_rows
from launcher.compute.check_rows import background, writable
from launcher.compute.check_slurm import silent
from launcher.compute.scheduler import Job, JobState
from launcher.compute.slurm.cluster_check import Survey
from launcher.compute.slurm.target import Slurm
from launcher.paths import StoreFolder

MARK = Path("/cache/mark")
MPIRUN = "/usr/bin/mpirun"
NOTHING = dict.fromkeys((str(MARK), sys.executable, MPIRUN), False)


def put(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def node(**fields: Any) -> dict[str, Any]:
    paths = {str(MARK): True, sys.executable: True, MPIRUN: True}
    known = {"host": "n1", "python": "/usr/bin/python3", "version": "3.9.2", "mpirun": MPIRUN, "paths": paths,
             "mpirun_version": "mpirun (Open MPI) 4.1.4", "gpus": ["0", "1"], "gpu_names": []}  # fmt: skip
    return {**known, **fields}


WAYS: dict[str, Any] = {"here": [["eth0", "10.0.0.1", None], ["ib0", "10.1.0.1", 0.001]],
                        "there": [["ib0", "10.1.0.2", 0.001]]}  # fmt: skip
FINE = Survey(
    job="7", submitted=100.0, heard=102.5, told=102.6,
    answer={"time": 102.0, "seen": 103.0, "done": True, "nodes": [node(), node(host="n2")], "ways": WAYS},
)  # fmt: skip


def table(
    found: Survey = FINE, options: Slurm | None = None, gpus: int = 0, mpirun: str | None = MPIRUN
) -> Any:
    rows = node_rows(found, options or Slurm(), gpus, MARK, mpirun)
    return {row.what: (row.level, f"{row.found} > {row.next}") for row in rows}


def other(**fields: Any) -> Survey:
    return answering(nodes=[node(**fields), node(host="n2")])


def answering(**fields: Any) -> Survey:
    return replace(FINE, answer={**FINE.answer, **fields})


def test_nodes_that_have_everything() -> None:
    rows = table(gpus=2)
    assert {level for level, _ in rows.values()} == {"ok"}
    assert rows["job"][1].startswith("job 7 on n1, n2, 2.0 s after")
    assert "after 0.5 s" in rows["store, node to here"][1]
    assert "after 0.4 s" in rows["store, here to node"][1]
    assert "within 0.9 s" in rows["clock"][1]
    assert "n2 to n1: eth0 10.0.0.1 no, ib0 10.1.0.1 1.0 ms > " in rows["network"][1]
    assert rows["network"][1].endswith("compute.interface=ib0")


@pytest.mark.parametrize(
    ("found", "what", "level", "words"),
    [
        (answering(time=62.0, seen=63.0), "clock", "warn", "39.6 s behind"),
        (answering(time=142.0, seen=143.0), "clock", "warn", "39.5 s ahead"),
        (answering(seen=133.0), "store, here to node", "warn", "after 30.4 s"),
        (answering(seen=None), "store, here to node", "bad", "did not see a file of this host"),
        (other(version="3.6.8"), "python", "bad", "compute.python"),
        (other(paths=NOTHING), "python", "warn", "no environment=current"),
        (other(paths=NOTHING), "cache", "bad", "LAUNCHER_CACHE"),
        (other(paths={str(MARK): True, sys.executable: True, MPIRUN: False}, mpirun=None),
         "mpirun", "warn", "none on the node"),
        (other(gpus=[], gpu_names=["GPU 0: A100"]), "GPUs", "bad", "0 on n1, 2 asked for (GPU 0: A100)"),
        (answering(ways={**WAYS, "there": []}), "network", "warn", "not back"),
        (answering(ways={"here": [["eth0", "10.0.0.1", None]], "there": []}), "network", "bad", "ports"),
        (Survey(job="7", heard=1.0, told=1.0, answer={"time": 1.0, "done": True, "nodes": [node()],
                "other": None, "problem": "srun: error: no"}), "second node", "bad", "srun: error: no"),
    ],
)  # fmt: skip
def test_what_is_wrong_there(found: Survey, what: str, level: str, words: str) -> None:
    row = table(found, gpus=2)[what]
    assert row[0] == level
    assert words in row[1]


def test_what_was_asked_for_and_is_not_there() -> None:
    assert table(options=Slurm(interface="eth0"))["network"][0] == "bad"
    level, words = table(mpirun=None)["mpirun"]
    assert (level, words.startswith(f"none on this host; {MPIRUN}, mpirun (Open MPI)")) == ("warn", True)
    assert "store, here to node" not in table(replace(FINE, answer={"time": 102.0, "done": False}))


@pytest.mark.parametrize(
    ("state", "word", "code", "level", "words"),
    [
        (JobState.PENDING, "PENDING", 0, "warn", "still waits after 60 s: Resources"),
        (JobState.FAILED, "FAILED", 71, "bad", "does not see the store /store"),
        (JobState.NO_OUTPUT, "FAILED", 0, "bad", "does not see the store /store"),
        (JobState.FAILED, "FAILED", 72, "bad", "no Python"),
        (JobState.FAILED, "FAILED", 1, "bad", "ended as FAILED, exit code 1 > It printed: no module cuda"),
        (JobState.RUNNING, "RUNNING", 0, "bad", "this host saw nothing"),
    ],
)
def test_jobs_that_say_nothing(state: JobState, word: str, code: int, level: str, words: str) -> None:
    job = Job("7", state, word, "Resources", nodes="n1", exit_code=code)
    row = silent(Survey(job="7", last=job, log=("no module cuda",)), Path("/store"), 60)
    assert row.level == level
    assert words in f"{row.found} > {row.next}"


def test_jobs_that_slurm_refuses_or_never_lists() -> None:
    assert silent(Survey(problem="sbatch: no account"), Path("/store"), 60)[1:3] == (
        "bad",
        "sbatch: no account",
    )
    assert "has not listed it" in silent(Survey(job="7"), Path("/store"), 60).found


@pytest.mark.parametrize(
    ("script", "level"),
    [
        ("echo KillUserProcesses=no; echo KillExcludeUsers=root", "ok"),
        ("echo KillUserProcesses=yes; echo KillExcludeUsers=", "warn"),
        ("exit 1", "warn"),
    ],
)
def test_background(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, level: str) -> None:
    put(tmp_path / "bin", "loginctl", script)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    assert background(tmp_path).level == level
    assert background(tmp_path / "none").level == "ok"


def test_folders_that_can_be_written(tmp_path: Path) -> None:
    assert "made when" in writable("store", tmp_path / "a" / "b", "").found
    (tmp_path / "file").touch()
    assert writable("store", tmp_path / "file", "Choose another").level == "bad"
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


@pytest.mark.usefixtures("store")
def test_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put(tmp_path / "bin", "mpirun", "echo 'mpirun (Open MPI) 4.1.4'")
    put(tmp_path / "bin", "sbatch", "")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert main(["compute", "check", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    rows = {row["what"]: row for row in told["rows"]}
    assert (told["compute"], told["ok"]) == ("local", True)
    assert rows["mpirun"]["level"] == rows["compiler"]["level"] == "warn"
    assert "no mpicxx" in rows["mpirun"]["found"]
    assert rows["slurm"]["next"].endswith("compute=slurm")
    assert main(["compute", "check", "gpus_per_node=1", "processes_per_node=999"]) == 1
    out = capsys.readouterr().out
    assert "GPUs        bad   none, 1 asked for" in out
    assert "999 asked for" in out
    assert not (tmp_path / "store").exists()


@pytest.mark.usefixtures("store")
def test_without_slurm_no_job_is_submitted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["compute", "check", "--compute", "slurm"]) == 1
    out = capsys.readouterr().out
    assert "sbatch      bad   not on PATH" in out
    assert "none was submitted" in out


@pytest.mark.usefixtures("store")
def test_a_cluster_that_refuses_and_has_no_accounting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tools = {
        "sinfo": "echo 'debug*|4|8|16000|gpu:2|infinite|1-infinite'; echo 'short|2|8|16000|(null)|2:00|1-2'",
        "scontrol": "echo MaxArraySize = 301",
        "squeue": "",
        "sacct": "echo 'Slurm accounting storage is disabled' >&2; exit 1",
        "sbatch": "[ $1 = --version ] && echo slurm 24 && exit; echo 'sbatch: error: no account' >&2; exit 1",
        "scancel": f'echo "$@" >{tmp_path}/canceled',
    }
    for name, script in tools.items():
        put(tmp_path / "bin", name, script)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_CONF", str(tmp_path))  # limits are kept by it
    assert main(["compute", "check", "compute=slurm", "--json"]) == 1
    rows = [(row["what"], row["level"], row["found"]) for row in json.loads(capsys.readouterr().out)["rows"]]
    assert ("accounting", "warn") in [row[:2] for row in rows]
    assert ("partition", "ok", "short: up to 2 nodes with 8 CPUs, 15.62 GiB, 0 GPUs; 2 min") in rows
    assert rows[-1] == ("job", "bad", "sbatch: no account")
    assert "--name=launcher-check-" in (tmp_path / "canceled").read_text()
    assert not (tmp_path / "store").exists()
    put(tmp_path / "bin", "squeue", "echo 'slurm_load_jobs error: down' >&2; exit 1")
    assert main(["compute", "check", "compute=slurm", "compute.partition=long"]) == 1
    out = capsys.readouterr().out
    assert "slurm_load_jobs error: down" in out
    assert "compute.partition=long" in out


@pytest.mark.parametrize(
    "words", [["nodes"], ["--timeout", "0"], ["--compute", "slrum"], ["compute=slurm", "compute.grace=1"]]
)
def test_bad_input(store: StoreFolder, words: list[str]) -> None:
    assert main(["compute", "check", *words]) == 2
    assert not store.root.exists()


def test_unknown_flags() -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["compute", "check", "--wrong"])


@pytest.mark.parametrize(
    ("words", "some"),
    [
        (["comp"], "compute"),
        (["compute", ""], "check"),
        (["compute", "check", "--t"], "--timeout"),
        (["compute", "check", "compute=sl"], "compute=slurm"),
    ],
)
def test_completion(words: list[str], some: str) -> None:
    assert some in complete(words)


def test_a_python_that_is_too_old() -> None:
    job = Job("7", JobState.FAILED, "FAILED", nodes="n1", exit_code=1)
    log = ("SyntaxError: future feature annotations is not defined",)
    assert "older than 3.8" in silent(Survey(job="7", last=job, log=log), Path("/store"), 60).found
