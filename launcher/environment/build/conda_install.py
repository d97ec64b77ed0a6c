"""Environments whose Python and first packages come from conda channels."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.agent.base import atomic_json
from launcher.agent.base.secret_env import SECRET
from launcher.credentials import hide
from launcher.environment.recipe.conda import CondaRequest, solver
from launcher.errors import BuildError
from launcher.secrets import fill

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launcher.environment.build.tools import Listener, Tools
    from launcher.spec import Progress

_RATTLER = Path(__file__).with_name("rattler_install.py")
_HINT = "Look at environment.conda_packages, environment.environment_file and environment.channels"


def install(request: CondaRequest, prefix: Path, tools: Tools, cache: Path, progress: Progress) -> Path:
    """Make the environment; return its interpreter.

    Raises:
        BuildError: with the last lines of the solver.
    """
    tool = solver()
    if tool is None:
        raise BuildError("Conda packages need py-rattler. Try: pip install py-rattler")
    progress.step("Resolving conda packages", 0.05)
    downloads = cache / "conda"
    if tool == "rattler":
        _with_rattler(request, prefix, tools, downloads, _listener(progress))
    else:
        argv = [tool, "create", "--yes", "--no-rc", "--root-prefix", str(downloads), "--prefix", str(prefix)]
        check_visible([*request.packages, *request.channels], tool)
        channels = [word for channel in request.channels for word in ("--channel", channel)]
        _run([*argv, "--override-channels", *channels, *request.packages], tools, _listener(progress))
    python = prefix / "bin" / "python"
    if not os.access(python, os.X_OK):
        raise BuildError(f"The channels {hide(', '.join(request.channels))} gave no Python. {_HINT}")
    return python


def check_visible(words: Sequence[str], tool: str) -> None:
    """Check that words for a command line, which everyone sees, hold no secret.

    Raises:
        BuildError: one does.
    """
    if any(SECRET.search(word) or hide(word) != word for word in words):
        raise BuildError(
            f"environment.channels: got an address with a login, which {Path(tool).name} shows in its "
            "command line to all users of the machine; expected an address without one. On this machine "
            "py-rattler takes it (pip install py-rattler)"
        )


def _with_rattler(request: CondaRequest, prefix: Path, tools: Tools, downloads: Path, hear: Listener) -> None:
    path = prefix.parent / f".{prefix.name}.json"
    path.touch(mode=0o600)  # addresses of channels may hold credentials
    record_ = {
        "packages": [fill(word) for word in request.packages],
        "channels": [fill(word) for word in request.channels],
        "prefix": str(prefix),
        "cache": str(downloads),
    }
    path.write_bytes(atomic_json.encode(record_))
    try:
        _run([sys.executable, "-I", str(_RATTLER), str(path)], tools, hear)
    finally:
        path.unlink(missing_ok=True)


def _run(argv: Sequence[str], tools: Tools, hear: Listener) -> None:
    tools.run(argv, "Installing conda packages", hear=hear, hint=_HINT)


def _listener(progress: Progress) -> Listener:
    def hear(line: str) -> None:
        match = re.match(r"Resolved (\d+ packages)", line)
        if match:
            progress.step(f"Installing {match.group(1)} from conda", 0.2)

    return hear
