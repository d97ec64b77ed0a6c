"""The agent's code, put into the store once by content, so that runs keep the version they began with."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from launcher import agent
from launcher.agent import record

if TYPE_CHECKING:
    from launcher.paths import StoreFolder

_ENTRY = "from agent.main import main\n\nmain()\n"


def install(store: StoreFolder) -> Path:
    """Return the folder to start with `python -I -S`, made if this version is not there yet."""
    code = Path(agent.__file__).parent
    files = {
        name: (code / name).read_bytes() for name in sorted(os.listdir(code)) if name.endswith((".py", ".sh"))
    }
    digest = hashlib.sha256(repr(files).encode()).hexdigest()[:20]
    home = store.agents / digest
    if home.is_dir():
        return home
    draft = store.agents / f".{digest}.{uuid4().hex}"
    (draft / "agent").mkdir(parents=True, mode=0o700)
    for name, content in files.items():
        target = draft / "agent" / name
        target.write_bytes(content)
        target.chmod(0o700 if name.endswith(".sh") else 0o600)
    (draft / "__main__.py").write_text(_ENTRY, encoding="utf-8")
    if not record.publish(str(draft), str(home)):  # another launch was faster
        shutil.rmtree(draft)
    return home
