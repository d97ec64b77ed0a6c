"""The options of `launcher_local` and `launcher_slurm`, and the names that people know them by."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from hydra_plugins.launcher_plugin import LOCAL, SLURM
from launcher.apps.conf import LocalConf, SlurmConf
from launcher.apps.options import (
    IGNORED,
    NAMES,
    RUN,
    compute,
    distribution,
    notes,
    options_of,
    resources,
)
from launcher.compute.local import Local
from launcher.compute.slurm.target import Slurm
from launcher.errors import ConfigError
from launcher.spec import Resources

HYDRA_SUBMITIT_LAUNCHER = """
    submitit_folder timeout_min cpus_per_task gpus_per_node tasks_per_node mem_gb nodes name stderr_to_stdout
    partition qos comment constraint exclude gres cpus_per_gpu gpus_per_task mem_per_gpu mem_per_cpu account
    signal_delay_s max_num_timeout additional_parameters array_parallelism setup srun_args
"""
"""The fields of its BaseQueueConf and SlurmQueueConf."""

OTHER = {"compute", "distribution", "secrets", "source", "store", "wait"}
"""Options that are neither a field of the run nor of its target."""


def configured(conf: type, **given: Any) -> DictConfig:
    node = {**(LOCAL if conf is LocalConf else SLURM), **given}
    return OmegaConf.create({"hydra": {"job": {"name": "train"}, "launcher": node}})


def options(conf: type, **given: Any) -> dict[str, Any]:
    return options_of(configured(conf, **given))


def test_every_name_of_hydra_submitit_launcher_is_taken() -> None:
    names = {field.name for field in fields(SlurmConf)}
    assert set(HYDRA_SUBMITIT_LAUNCHER.split()) <= names
    assert set(NAMES) | set(IGNORED) <= set(HYDRA_SUBMITIT_LAUNCHER.split())


def test_the_names_that_the_plugin_registers_have_a_type() -> None:
    for registered, conf in ((LOCAL, LocalConf), (SLURM, SlurmConf)):
        assert set(registered) - {"_target_"} == {field.name for field in fields(conf)}


def test_a_value_of_another_type_is_a_problem() -> None:
    with pytest.raises(ConfigError, match=r"hydra.launcher.nodes: Value 'two'"):
        options(LocalConf, nodes="two")


@pytest.mark.parametrize(("conf", "target"), [(LocalConf, Local), (SlurmConf, Slurm)])
def test_every_option_means_something_and_every_option_of_the_target_can_be_given(
    conf: type, target: type
) -> None:
    own = {field.name for field in fields(target)}
    own -= {"container"}  # jobs of apps run in the submitter's Python
    known = own | {field.name for field in fields(Resources)} | set(RUN) | OTHER
    names = {field.name for field in fields(conf)}
    assert names - known <= set(NAMES) | set(IGNORED)
    assert own <= names
    for ours in (NAMES[name] for name in names & set(NAMES)):
        assert ours.split(".")[0] in known


def test_names_of_both_vocabularies_mean_the_same() -> None:
    theirs = options(LocalConf, timeout_min=5, cpus_per_task=2, tasks_per_node=3, mem_gb=4)
    ours = options(LocalConf, time_limit_min=5, cpus_per_process=2, processes_per_node=3, memory_gib=4)
    assert theirs == ours
    assert resources(theirs) == Resources(
        processes_per_node=3, cpus_per_process=2, memory_gib=4, time_limit_min=5
    )
    assert theirs["name"] == "train"


def test_both_names_with_two_values_is_a_problem() -> None:
    with pytest.raises(
        ConfigError, match=r"hydra.launcher.timeout_min: got 5.*timeout_min and time_limit_min"
    ):
        options(LocalConf, timeout_min=5, time_limit_min=6)


def test_options_of_slurm() -> None:
    given = options(
        SlurmConf, partition="gpu", signal_delay_s=90, array_parallelism=8, max_num_timeout=3,
        mem_per_gpu="8G", additional_parameters={"wckey": "x"}, setup=["module load cuda"],
    )  # fmt: skip
    assert given["retries"] == 3
    assert compute(given) == Slurm(
        partition="gpu", grace_s=90, max_parallel=8, setup=["module load cuda"], export="ALL",
        additional_parameters={"wckey": "x", "mem-per-gpu": "8G"},
    )  # fmt: skip


def test_several_processes_find_one_another_unless_told_otherwise() -> None:
    assert distribution(options(LocalConf)).kind == "single"
    assert distribution(options(LocalConf, nodes=2)).kind == "torch"
    assert distribution(options(LocalConf, tasks_per_node=2, distribution="mpi")).kind == "mpi"
    with pytest.raises(ConfigError, match=r"hydra.launcher.distribution: got 'mpu'.*Did you mean mpi"):
        distribution(options(LocalConf, distribution="mpu"))
    with pytest.raises(ConfigError, match=r"hydra.launcher.compute: got 'moon'"):
        compute(options(LocalConf, compute="moon"))


def test_secrets_are_variables_of_their_names() -> None:
    given = options(LocalConf, secrets=["TOKEN", "KEY_2"], env={"A": "b", "U": "x@{secret.TOKEN}"})
    assert given["env"] == {
        "A": "b", "U": "x@{secret.TOKEN}", "TOKEN": "@{secret.TOKEN}", "KEY_2": "@{secret.KEY_2}",
    }  # fmt: skip
    assert "secrets" not in given
    with pytest.raises(ConfigError) as error:
        options(LocalConf, secrets=["A-B"], tags={"t": "@{secret.TOKEN}"})
    tag, name = map(str, error.value.problems)
    assert tag.startswith("hydra.launcher.tags.t: got '${secret:TOKEN}'; expected a value without a secret")
    assert tag.endswith("a process by hydra.launcher.env.NAME")
    assert name.startswith("hydra.launcher.secrets: got 'A-B'; expected names of secrets. a secret is named")


def test_what_means_nothing_is_told() -> None:
    assert notes(configured(LocalConf)) == []
    [note] = notes(configured(LocalConf, submitit_folder="x"))
    assert note == "hydra.launcher.submitit_folder: every run has a folder in the store"


def test_the_plugin_imports_nothing_of_launcher() -> None:
    names = "[name for name in sys.modules if name.split('.')[0] == 'launcher']"
    code = f"import sys, hydra_plugins.launcher_plugin; print({names})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_texts_arrive_as_they_were_typed() -> None:
    config = configured(LocalConf, env={"A": 1.1, "B": True}, tags={"v": 1000}, name=7.0, retries=2)
    words = [
        "hydra.launcher.env.A=1.10",
        "hydra.launcher.env={B: true}",
        "hydra.launcher.tags.v=1_000",
    ]
    config.hydra.overrides = {"hydra": [*words, "hydra.launcher.name=7.0", "hydra.launcher.retries=2"]}
    found = options_of(config)
    assert (found["env"], found["tags"]) == ({"A": "1.10", "B": "true"}, {"v": "1_000"})
    assert (found["name"], found["retries"]) == ("7.0", 2)
