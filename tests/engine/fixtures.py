"""An engine and its registry for tests, started once a session when a test first asks for them."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.engine.layout import DEFAULT_ROOT, Layout
from tests.engine.machine import Engine, up
from tests.engine.requirements import missing
from tests.sessions import claimed_root, leave_out

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.engine.registry import Registry


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """A Docker engine of its own, without images until `engine.image` is asked for one."""
    leave_out("Docker", missing())
    with claimed_root(DEFAULT_ROOT) as root:
        made = up(Layout(root=root))
        try:
            yield made
        finally:
            made.down()
            shutil.rmtree(root)


@pytest.fixture(scope="session")
def registry(engine: Engine) -> Registry:
    """The engine's registry; it asks for a password."""
    return engine.registry()
