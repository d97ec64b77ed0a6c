"""A small store to compare the pages with."""

from __future__ import annotations

from pathlib import Path

import pytest

from launcher.__main__ import main

SCRIPT = """\
import json, os, pathlib
print(*(name for name in sorted(os.environ) if name.startswith("LAUNCHER_")))
pathlib.Path("outputs/weights.json").write_text("[1]")
with open(os.environ["LAUNCHER_METRICS"], "a") as file:
    file.write(json.dumps({"name": "loss", "value": 0.5, "step": 1}) + "\\n")
"""


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep indexes and environments out of the user's cache."""
    monkeypatch.setenv("LAUNCHER_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("LAUNCHER_STORE", raising=False)


@pytest.fixture(scope="session")
def filled_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store with mnist/1; not to be written."""
    root = tmp_path_factory.mktemp("docs")
    (root / "src").mkdir()
    (root / "src" / "show.py").write_text(SCRIPT)
    launch = ["framework=python", "data=none", "script=show.py", f"source={root / 'src'}"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAUNCHER_CACHE", str(root / "cache"))
        patch.chdir(root)
        assert main([*launch, f"store={root / 'store'}"]) == 0
    return root / "store"
