"""Make a conda environment with py-rattler: `python -I rattler_install.py REQUEST.json`.

It is a process of its own so that it can be ended like every other tool of a build.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import re
import sys
from base64 import b64encode
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201  # the builder reads it


async def _install(request: dict[str, Any]) -> None:
    rattler: Any = importlib.import_module("rattler")  # an extra
    cache = Path(request["cache"])
    logins: list[Login] = []
    channels = [_address(_without_login(channel, logins)) for channel in request["channels"]]
    packages = [_without_login(package, logins) for package in request["packages"]]
    client = _client(logins)
    records = await rattler.solve(
        channels,
        packages,
        gateway=rattler.Gateway(cache / "repodata", client=client),
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
        client=client,
    )
    _say(f"Installed {len(records)} packages")


class Login(NamedTuple):
    """What a server asks for below an address."""

    host: str
    path: str
    header: str


def _without_login(text: str, logins: list[Login]) -> str:
    """Return a channel, or a package of one, without its login: rattler records addresses as they are."""
    found = re.search(r"://([^/@]+)@([^/]+)([^:]*)", text)
    if found is None:
        return text
    login, host, path = found.groups()
    user, _, password = login.partition(":")
    pair = f"{unquote(user)}:{unquote(password)}".encode()
    logins.append(Login(host.partition(":")[0], path, f"Basic {b64encode(pair).decode()}"))
    return f"{text[: found.start(1)]}{text[found.start(2) :]}"


def _client(logins: list[Login]) -> Any:
    """Return rattler's usual client that also sends logins, None where there are none."""
    if not logins:
        return None
    networking: Any = importlib.import_module("rattler.networking.middleware")
    client: Any = importlib.import_module("rattler.networking.client")

    def headers(host: str, path: str) -> dict[str, str] | None:
        known = [each.header for each in logins if each.host == host and path.startswith(each.path)]
        return {"Authorization": known[0]} if known else None

    names = ("RetryMiddleware", "AuthenticationMiddleware", "OciMiddleware", "GCSMiddleware", "S3Middleware")
    usual = [getattr(networking, name)() for name in names]
    return client.Client([*usual, networking.AddHeadersMiddleware(headers)])


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
