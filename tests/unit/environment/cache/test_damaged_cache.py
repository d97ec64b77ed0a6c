"""Environments in the cache: a damaged record or archive counts as missing."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import pytest

from launcher.agent.base import atomic_json
from launcher.environment.build.wheels import is_whole
from launcher.environment.cache import archive
from launcher.environment.cache.folder import CachedEnvironment
from launcher.spec import Prepared


@pytest.mark.parametrize(
    "content", [b'{"schema":1}', b"", b"{", b"[]", b'{"schema":1,"key":"k","python":7}', b'{"schema":99}']
)
def test_a_damaged_record_of_an_environment_counts_as_missing(tmp_path: Path, content: bytes) -> None:
    place = CachedEnvironment(tmp_path)
    assert place.damage() == ""
    place.ready.write_bytes(content)
    assert (place.recorded(), place.prepared()) == (None, None)
    assert place.damage() == f"{place.ready} is damaged"


def test_an_environment_without_its_python_is_damaged(tmp_path: Path) -> None:
    place = CachedEnvironment(tmp_path)
    place.finish(Prepared(key="k", python=sys.executable, prefix="/p"), {})
    assert place.damage() == ""
    place.ready.unlink()
    place.finish(Prepared(key="k", python=str(tmp_path / "none"), prefix="/p"), {})
    assert place.damage() == f"{tmp_path / 'none'} is gone or cannot be executed"


def test_an_archive_that_was_cut_counts_as_missing(tmp_path: Path) -> None:
    prepared = Prepared(key="k", python="/p", prefix=str(tmp_path / "env"))
    packed = tmp_path / "env.tar.gz"
    packed.write_bytes(b"x" * 100)
    assert archive.of(prepared) == packed  # of an older version
    atomic_json.write(f"{packed}.json", {"schema": 1, "bytes": 100})
    assert archive.of(prepared) == packed
    packed.write_bytes(b"x" * 50)
    assert archive.of(prepared) is None


def test_a_wheel_that_was_altered_is_not_whole(tmp_path: Path) -> None:
    wheel = tmp_path / "horovod-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as made:
        made.writestr("a.py", "x = 1\n" * 100)
    assert is_whole(wheel)
    data = wheel.read_bytes()
    wheel.write_bytes(data.replace(b"x = 1", b"x = 2", 1))
    assert not is_whole(wheel)
    wheel.write_bytes(data[:50])
    assert not is_whole(wheel)
    assert not is_whole(Path(tmp_path, "none"))
