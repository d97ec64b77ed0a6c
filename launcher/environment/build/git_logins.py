"""Logins of git repositories, as variables: command lines of git show whole addresses to every user."""

from __future__ import annotations

import os
import re
from base64 import b64encode
from typing import Final
from urllib.parse import unquote

_ADDRESS: Final = re.compile(r"(git\+https?)://([^\s/@?#]+)@([^\s/?#]+)")


class GitLogins:
    """What was taken out of requirements."""

    def __init__(self) -> None:
        self._logins: dict[str, str] = {}

    def take(self, line: str) -> str:
        """Return a requirement without the login of its repository."""
        found = _ADDRESS.search(line)
        if found is None:
            return line
        scheme, login, host = found.groups()
        self._logins[f"{scheme.removeprefix('git+')}://{host}/"] = login
        return f"{line[: found.start()]}{scheme}://{host}{line[found.end() :]}"

    def variables(self) -> dict[str, str]:
        """Return the variables that give git the logins, on top of those of this shell (git-config(1))."""
        if not self._logins:
            return {}
        first = int(os.environ.get("GIT_CONFIG_COUNT") or 0)
        given = {name: value for name, value in os.environ.items() if name.startswith("GIT_CONFIG_")}
        for number, (address, login) in enumerate(self._logins.items(), first):
            user, _, password = login.partition(":")
            pair = f"{unquote(user)}:{unquote(password)}"
            basic = b64encode(os.fsencode(pair)).decode()
            given[f"GIT_CONFIG_KEY_{number}"] = f"http.{address}.extraHeader"
            given[f"GIT_CONFIG_VALUE_{number}"] = f"Authorization: Basic {basic}"
        return {**given, "GIT_CONFIG_COUNT": str(first + len(self._logins))}
