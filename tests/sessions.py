"""What fixtures share that start daemons once a session."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence


def leave_out(what: str, problems: Sequence[str]) -> None:
    """Skip the tests of something that cannot run here, if there are problems; in CI they fail."""
    if not problems:
        return
    reason = "; ".join(problems)
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI runs the tests of {what}, none is left out: {reason}", pytrace=False)
    pytest.skip(reason)


@contextmanager
def claimed_root(default: Path) -> Generator[Path]:
    """Give a folder beside the default that no live process uses; what a killed session left, `up` clears."""
    for number in count():
        root = default.with_name(f"{default.name}-test{number}")
        # Where every user can write: no link of another user is followed.
        fd = os.open(f"{root}.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w", encoding="utf-8") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield root
            return
