"""The end of a run: its record, and whether somebody wants it at all."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from ..base import atomic_json, disk_reserve
from ..base.shared_fs import list_uncached

if TYPE_CHECKING:
    from ..base.failure_kinds import FailureKind
    from ..base.record_types import Cause


def finish(folder: str, state: str, cause: Cause | None, attempt: int | None) -> None:
    """Write the last word on a run unless somebody else has, or it was deleted."""
    own = os.path.join(folder, "attempts", "%s" % attempt)
    end = {
        "schema": atomic_json.SCHEMA,
        "state": state,
        "time": atomic_json.now(),
        # A disk that was full at its start has no record of it.
        "attempt": attempt if os.path.exists(os.path.join(own, "state.json")) else None,
        "cause": cause,
    }
    if is_gone(folder, "submit.json"):
        return
    try:
        disk_reserve.create(own, os.path.join(folder, "end.json"), end)
        disk_reserve.release(own)
    except OSError as error:  # who reads the run later finds this process gone and ends it
        atomic_json.complain("end of %s: %s" % (folder, error))


def cause_in_queue(kind: FailureKind, message: str) -> Cause:
    """Return the cause of the end of a run that has not begun."""
    return {"kind": kind, "message": message, "phase": "Queued"}


def is_gone(folder: str, name: str) -> bool:
    """Tell whether a file is surely not there; a file system in trouble does not make it so."""
    try:
        os.stat(os.path.join(folder, name))
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def is_canceled(folder: str) -> bool:
    """Tell whether a run is canceled, also on a file system that remembers that it was not."""
    with contextlib.suppress(OSError):  # deleted
        return "cancel.json" in list_uncached(folder)
    return False


def is_unwanted(folder: str) -> bool:
    """Tell whether a run is canceled, deleted, or was ended by somebody else."""
    return os.path.exists(os.path.join(folder, "cancel.json")) or (
        is_gone(folder, "submit.json") or os.path.exists(os.path.join(folder, "end.json"))
    )
