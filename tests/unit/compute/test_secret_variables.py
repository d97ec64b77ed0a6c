"""Secrets of runs that are handed over."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from launcher.compute.local import Local
from launcher.compute.secret_variables import secret_variables
from launcher.compute.slurm.target import Slurm
from launcher.errors import SubmitError
from launcher.facts import Facts
from launcher.paths import RunFolder, StoreFolder
from launcher.session import Session
from launcher.spec import State
from launcher.store import records
from launcher.store.runs import read_run

if TYPE_CHECKING:
    from pathlib import Path

    from launcher.spec import Compute


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StoreFolder:
    monkeypatch.setenv("LAUNCHER_SECRETS", str(tmp_path / "none"))
    monkeypatch.setenv("A", "hidden")
    monkeypatch.setenv("B", "also")
    return StoreFolder(tmp_path / "store")


def run(store: StoreFolder, number: int, **env: str) -> RunFolder:
    folder = store.run("mnist", number)
    folder.root.mkdir(parents=True)
    records.write(folder.spec, {"env": env, "args": ["@{secret.C}"]})
    submit = {"created": 1.0, "owner": records.owner(), "phases": [["Preparing", 1.0]]}
    records.write(folder.submit, submit)
    return folder


def test_what_env_names_of_all_runs(store: StoreFolder) -> None:
    first, second = run(store, 1, X="u@{secret.A}", Y="@{run}"), run(store, 2, Z="@{secret.B}@{secret.A}")
    deleted = store.run("mnist", 3)
    assert secret_variables([first, deleted, second]) == {
        "SLURM_LAUNCHER_SECRET_A": "hidden", "SLURM_LAUNCHER_SECRET_B": "also",
    }  # fmt: skip
    assert secret_variables([deleted]) == {}


@pytest.mark.parametrize("target", [Local(), Slurm()])
def test_one_that_is_gone_by_then_ends_the_runs(
    store: StoreFolder, target: Compute, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [run(store, 1, X="@{secret.A}"), run(store, 2, X="@{secret.B}")]
    monkeypatch.delenv("B")
    with pytest.raises(SubmitError, match=r"^\$\{secret:B\}: got None; expected a value: the variable B"):
        target.submit([folder.root for folder in folders], store.root, Facts(), Session())
    for folder in folders:
        ended = read_run(folder)
        assert (ended.state, ended.cause and ended.cause.kind) == (State.FAILED, "submit")
        assert not list(folder.root.glob("job*"))
