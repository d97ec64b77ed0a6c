import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

NOBODY = 65534


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """Yield a folder in which this process is not root, who may read and remove everything."""
    with TemporaryDirectory() as place:
        root = os.geteuid() == 0
        if root:
            os.chown(place, NOBODY, NOBODY)
            os.seteuid(NOBODY)
        try:
            yield Path(place)
        finally:
            if root:
                os.seteuid(0)
