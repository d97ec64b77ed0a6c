"""From a plan to exact processes."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from launcher.agent.base.process_env import base_environment
from launcher.agent.base.tmp import OWN_TMP
from launcher.agent.run.commands import Commands

RUN = "/store/runs/mnist/1"
PROCESS: dict[str, Any] = {
    "role": "worker", "index": 0, "rank": 0, "local_rank": 0, "node": 0, "argv": ["@{python}", "train.py"],
    "env": {}, "gpus": "node", "ready_port": None,
}  # fmt: skip


def commands(
    *processes: dict[str, Any],
    gpus: list[list[str]] | None = None,
    submit: Any = None,
    **spec: Any,
) -> Commands:
    plan: dict[str, Any] = {
        "nodes": 1, "processes_per_node": 1, "mpi": None, "ends_with": [], "ports": {},
        "processes": [{**PROCESS, **process} for process in processes],
    } | spec.pop("plan", {})  # fmt: skip
    resources = {"cpus_per_process": None, **spec.pop("resources", {})}
    whole: Any = {"id": "mnist/1", "plan": plan, "resources": resources, "env": {}, **spec}
    return Commands(RUN, spec.pop("attempt", 0), whole, submit or {}, gpus or [])


def envs(made: Commands) -> list[dict[str, str]]:
    return [message["env"] for _, message, _ in made.processes()]


@pytest.mark.parametrize(
    "name",
    ["LAUNCHER_RUN", "CUDA_VISIBLE_DEVICES", "TF_CONFIG", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK",
     "PRTE_X", "HYDRA_X", "MPI_LOCALRANKID", "HOROVOD_RANK", "RANK", "WORLD_SIZE", "LOCAL_RANK",
     "MASTER_ADDR", "MASTER_PORT", "GROUP_RANK", "NODE_RANK", "TORCHELASTIC_RUN_ID", "VIRTUAL_ENV",
     "PYTHONHOME", "PYTHONPATH", "CONDA_PREFIX", "CONDA_DEFAULT_ENV", "SLURM_LAUNCHER_SECRET_X"],
)  # fmt: skip
def test_what_belongs_to_other_jobs_does_not_leak(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "x")
    monkeypatch.setenv("KEPT", "yes")
    monkeypatch.setenv("MY_RANK", "yes")
    env = base_environment(None)
    assert name not in env
    assert (env["KEPT"], env["MY_RANK"]) == ("yes", "yes")


def test_the_environments_programs_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin")
    assert base_environment("/env/bin")["PATH"] == "/env/bin:/usr/bin"
    monkeypatch.delenv("PATH")
    assert base_environment("/env/bin")["PATH"] == "/env/bin:" + os.defpath


def test_what_every_process_is_told() -> None:
    made = commands({"role": "ps", "index": 1, "rank": 3, "local_rank": 2}, submit={"data": {"my-set": "/d"}})
    [env] = envs(made)
    assert env == {
        "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1", "CUDA_VISIBLE_DEVICES": "",
        "LAUNCHER_RUN": "mnist/1", "LAUNCHER_RUN_FOLDER": RUN, "LAUNCHER_ATTEMPT": "0",
        "LAUNCHER_MARK": f"{RUN}#0#0",
        "LAUNCHER_ROLE": "ps", "LAUNCHER_INDEX": "1", "LAUNCHER_RANK": "3", "LAUNCHER_LOCAL_RANK": "2",
        "LAUNCHER_NODE": "0", "LAUNCHER_NODES": "1", "LAUNCHER_METRICS": f"{RUN}/metrics/ps-1.jsonl",
        "LAUNCHER_DATA_MY_SET": "/d",
    }  # fmt: skip


def test_whose_word_counts_in_the_environment() -> None:
    environment = {
        "python": "/env/bin/python",
        "prefix": "/env",
        "env": {"A": "environment", "B": "environment"},
    }
    made = commands(
        {"env": {"C": "plan"}},
        submit={"environment": environment},
        env={"B": "user", "C": "user", "OMP_NUM_THREADS": "9"},
        resources={"cpus_per_process": 4},
    )
    [(_, message, _)] = made.processes()
    assert [message["env"][name] for name in "ABC"] == ["environment", "user", "plan"]
    assert message["env"]["OMP_NUM_THREADS"] == "9"
    assert message["argv"] == ["/env/bin/python", "train.py"]
    assert (message["path_prefix"], message["cwd"]) == ("/env/bin", f"{RUN}/work/0")
    assert envs(commands({}, resources={"cpus_per_process": 4}))[0]["OMP_NUM_THREADS"] == "4"


def test_addresses_and_ports_are_filled_in_tf_config() -> None:
    config = {"cluster": {"worker": ["@{host.0}:@{port.worker.0}"]}, "task": {"type": "worker", "index": 0}}
    made = commands({"env": {"TF_CONFIG": json.dumps(config)}}, plan={"ports": {"worker.0": 0, "ps.0": 1}})
    assert [made.prepare(node, (1, 2))["names"] for node in (0, 1)] == [["worker.0"], ["ps.0"]]
    made.values.update({"host.0": "10.0.0.1", "port.worker.0": "20123"})
    assert json.loads(envs(made)[0]["TF_CONFIG"])["cluster"] == {"worker": ["10.0.0.1:20123"]}


@pytest.mark.parametrize(
    ("gpus", "roles", "expected"),
    [
        ("node", 2, ["0,1,2,3", "0,1,2,3"]),
        ("process", 2, ["0,1", "2,3"]),
        ("process", 3, ["0", "1", "2"]),
        ("process", 5, ["0", "1", "2", "3", "0"]),
        ("none", 2, ["", ""]),
    ],
)
def test_gpus_are_shared_out(gpus: str, roles: int, expected: list[str]) -> None:
    processes = [{"index": index, "gpus": gpus} for index in range(roles)]
    made = commands(*processes, gpus=[["0", "1", "2", "3"]])
    assert [env["CUDA_VISIBLE_DEVICES"] for env in envs(made)] == expected


def test_a_server_beside_workers_takes_no_share() -> None:
    chief, server = {"role": "chief", "gpus": "none"}, {"role": "ps", "gpus": "none"}
    made = commands(
        chief,
        {"gpus": "process"},
        server,
        {"index": 1, "gpus": "process", "node": 1},
        gpus=[["0", "1"], ["7"]],
    )
    assert [env["CUDA_VISIBLE_DEVICES"] for env in envs(made)] == ["", "0,1", "", "7"]


def test_later_attempts_have_logs_of_their_own() -> None:
    spec: Any = {"plan": {"nodes": 1, "mpi": None, "processes": [PROCESS]}}
    made = Commands(RUN, 2, spec, {}, [])
    assert made.logs == f"{RUN}/attempts/2/logs"
    assert made.records(["here"])[0]["log"] == "logs/attempt-2/worker-0.log"
    assert (made.mark, made.node_mark(1)) == (f"{RUN}#2", f"{RUN}#2#1")


def test_under_mpirun_every_rank_has_a_record() -> None:
    line = {
        "argv": ["mpirun", "-H", "@{node.0}:2"],
        "program": ["sh", "@{agent}/mpi/rank.sh", "x"],
        "env": {"A": "@{run}"},
    }
    made = commands(plan={"mpi": line, "nodes": 2, "processes_per_node": 2})
    made.values["node.0"] = "node0"
    records = made.records(["node0", "node1"])
    ranks = [(item["role"], item["rank"], item.get("local_rank"), item["node"]) for item in records]
    assert ranks == [
        ("worker", 0, 0, "node0"), ("worker", 1, 1, "node0"),
        ("worker", 2, 0, "node1"), ("worker", 3, 1, "node1"), ("mpirun", -1, 0, "node0"),
    ]  # fmt: skip
    [(node, message, port)] = made.processes()
    assert (node, port, message["name"]) == (0, None, "mpirun-0")
    assert message["argv"] == ["mpirun", "-H", "node0:2", "sh", f"{made.values['agent']}/mpi/rank.sh", "x"]
    env = message["env"]
    assert (env["A"], env["TMPDIR"], env["LAUNCHER_SHIM"]) == (RUN, OWN_TMP, f"{RUN}/attempts/0")
    assert env["OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"] == env["PRTE_ALLOW_RUN_AS_ROOT"] == "1"
    daemon = made.daemon(1, "daemon-3")
    assert (daemon["name"], daemon["env"]["LAUNCHER_NODE"]) == ("daemon-3", "1")
    assert daemon["log"] == f"{RUN}/attempts/0/logs/mpirun-0.log"


def test_what_rank_0_reads_and_where_it_starts() -> None:
    made = commands({}, {"index": 1, "rank": 1}, cwd="sub", stdin="in.txt")
    messages = [message for _, message, _ in made.processes()]
    assert [message.get("stdin") for message in messages] == [f"{RUN}/work/0/in.txt", None]
    assert {message["cwd"] for message in messages} == {f"{RUN}/work/0/sub"}
    assert "/data/in" in commands({}, stdin="/data/in").paths()
    assert not any("STDIN" in name for message in messages for name in message["env"])
    boxed = commands(
        {},
        compute={"kind": "docker"},
        submit={"environment": {"key": "k", "image": "i", "python": "", "prefix": "", "env": {}}},
        stdin="in.txt",
    )
    assert envs(boxed)[0]["LAUNCHER_STDIN"] == f"{RUN}/work/0/in.txt"
