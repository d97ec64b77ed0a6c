"""The secrets of runs, as the variables in which whoever serves them gets the values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from launcher import secrets
from launcher.errors import ConfigError, SubmitError
from launcher.spec import State
from launcher.store import records
from launcher.store.runs import finish

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launcher.paths import RunFolder


def secret_variables(runs: Sequence[RunFolder]) -> dict[str, str]:
    """Return the variables that carry what these runs name in `env`, and what their builds need, read now.

    Raises:
        SubmitError: a secret has no value any more; the runs have ended as Failed.
    """
    texts: list[str] = []
    names: list[str] = []
    for run in runs:
        texts += ((records.read(run.spec) or {}).get("env") or {}).values()
        environment: dict[str, Any] = (records.read(run.submit) or {}).get("environment") or {}
        build: dict[str, Any] = environment.get("build") or {}
        names += build.get("secrets", [])
    try:
        return secrets.carriers(list(dict.fromkeys([*secrets.named(texts), *names])))
    except ConfigError as error:
        for run in runs:
            cause = {"kind": "submit", "phase": str(State.PREPARING), "message": str(error)}
            finish(run, State.FAILED, cause)
        raise SubmitError(str(error)) from error
