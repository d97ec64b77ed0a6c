"""What other users could have put where the launcher executes or trusts it by its name."""

import os
import stat
from pathlib import Path

import pytest

from launcher.compute import agent_code
from launcher.errors import StoreError
from launcher.paths import StoreFolder
from launcher.store.filters import Filters
from launcher.store.index import list_runs
from launcher.store.ownership import check_store, open_cache
from launcher.store.runs import reserve

STRANGER = 65533
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LAUNCHER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def store(tmp_path: Path, cache: Path) -> StoreFolder:
    del cache
    return StoreFolder(tmp_path / "store")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_cache_is_private_and_an_open_one_is_closed(cache: Path) -> None:
    assert open_cache() == cache
    assert mode(cache) == 0o700
    (cache / "environments").mkdir(mode=0o755)
    (cache / "index").mkdir()
    (cache / "index").chmod(0o777)
    open_cache()
    assert [mode(cache / name) for name in ("environments", "index")] == [0o700, 0o700]


def test_the_index_is_private_also_one_that_was_not(store: StoreFolder, cache: Path) -> None:
    store.runs.mkdir(parents=True)
    for _ in range(2):
        assert list_runs(store, Filters(), None) == []
        [base] = (cache / "index").glob("*.db")
        assert mode(base) == 0o600
        assert mode(base.parent) == 0o700
        base.chmod(0o644)


def test_the_id_of_a_store_is_private_also_one_that_was_not(store: StoreFolder) -> None:
    store.root.mkdir(mode=0o755)
    for _ in range(2):
        reserve(store, "mnist")
        assert mode(store.root) == 0o755
        assert mode(store.identity) == 0o600
        store.identity.chmod(0o644)


@needs_root
def test_the_id_of_a_store_that_another_user_chose_is_refused(store: StoreFolder) -> None:
    store.root.mkdir(mode=0o1777)
    store.identity.write_text('{"schema": 1, "id": "1"}')
    os.chown(store.identity, STRANGER, STRANGER)
    with pytest.raises(StoreError, match=r"store\.json: belongs to .*; expected one of your own"):
        reserve(store, "mnist")


@needs_root
@pytest.mark.parametrize("name", ["environments", "wheels", "leases"])
def test_a_cache_folder_of_another_user_is_refused(cache: Path, name: str) -> None:
    cache.mkdir(mode=0o1777)
    (cache / name).mkdir()
    os.chown(cache / name, STRANGER, STRANGER)
    with pytest.raises(StoreError, match=rf"{name}: belongs to user number {STRANGER}.*LAUNCHER_CACHE"):
        open_cache()


@needs_root
def test_links_of_another_user_are_refused_and_own_ones_followed(cache: Path, tmp_path: Path) -> None:
    cache.mkdir()
    (tmp_path / "elsewhere").mkdir(mode=0o755)
    (cache / "data").symlink_to(tmp_path / "elsewhere")
    open_cache()
    assert mode(tmp_path / "elsewhere") == 0o700
    os.lchown(cache / "data", STRANGER, STRANGER)
    with pytest.raises(StoreError, match="data: belongs to"):
        open_cache()


@pytest.mark.parametrize("which", ["cache", "store"])
def test_a_folder_whose_entries_all_users_can_replace_is_refused(
    cache: Path, store: StoreFolder, which: str
) -> None:
    root = cache if which == "cache" else store.root
    root.mkdir()
    root.chmod(0o777)
    with pytest.raises(StoreError, match=r"every user can replace what is in it. Run chmod o-w"):
        open_cache() if which == "cache" else check_store(store)
    root.chmod(0o1777)
    assert open_cache() if which == "cache" else check_store(store) is None


@needs_root
@pytest.mark.parametrize("name", ["agents", "runs", "snapshots", "sweeps"])
def test_a_store_folder_of_another_user_is_refused(store: StoreFolder, name: str) -> None:
    store.root.mkdir(mode=0o1777)
    (store.root / name).mkdir()
    os.chown(store.root / name, STRANGER, STRANGER)
    with pytest.raises(StoreError, match=rf"{name}: belongs to user number {STRANGER}"):
        agent_code.install(store)


def test_agents_are_private_also_in_a_store_that_others_can_enter(store: StoreFolder) -> None:
    store.root.mkdir(mode=0o755)
    home = agent_code.install(store)
    assert [mode(path) for path in (store.agents, home, home / "agent")] == [0o700] * 3
    store.agents.chmod(0o755)
    assert agent_code.install(store) == home
    assert mode(store.agents) == 0o700


@pytest.mark.parametrize("name", ["__main__.py", "agent/main.py", "agent/base/processes.py"])
def test_a_changed_agent_is_not_executed(store: StoreFolder, name: str) -> None:
    home = agent_code.install(store)
    right = (home / name).read_bytes()
    (home / name).write_bytes(b"print('planted')\n")
    assert agent_code.install(store) == home
    assert (home / name).read_bytes() == right
    (home / name).unlink()
    assert agent_code.install(store) == home
    assert (home / name).read_bytes() == right
    assert os.listdir(store.agents) == [home.name]
