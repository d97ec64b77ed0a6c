"""Make a conda environment with py-rattler: `python -I rattler_install.py REQUEST.json`.

It is a process of its own so that it can be ended like every other tool of a build.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201  # the builder reads it


async def _install(request: dict[str, Any]) -> None:
    rattler: Any = importlib.import_module("rattler")  # an extra
    cache = Path(request["cache"])
    records = await rattler.solve(
        [_address(channel) for channel in request["channels"]],
        request["packages"],
        gateway=rattler.Gateway(cache / "repodata"),
        virtual_packages=rattler.VirtualPackage.detect(),
    )
    _say(f"Resolved {len(records)} packages")
    for record in records:
        _say(f" + {record.name.normalized} {record.version}")
    # Scripts of packages (post-link) set up what some need to work, as conda itself does.
    await rattler.install(
        records,
        request["prefix"],
        cache_dir=cache / "packages",
        execute_link_scripts=True,
        show_progress=False,
    )
    _say(f"Installed {len(records)} packages")


def _address(channel: str) -> str:
    """Return a folder as the address that rattler takes, anything else as it is."""
    return Path(channel).absolute().as_uri() if os.sep in channel and "://" not in channel else channel


def main(path: str) -> int:
    """Read the request and carry it out."""
    request = json.loads(Path(path).read_text(encoding="utf-8"))
    try:
        asyncio.run(_install(request))
    except Exception as error:  # noqa: BLE001  # rattler's errors are many, and all end here
        _say(f"{type(error).__name__}: {error}")
        return 1
    return 0


if __name__ == "__main__":
    # Not sys.exit: rattler's threads now and then crash an interpreter that is being taken down.
    os._exit(main(sys.argv[1]))
