"""Credentials in addresses: logins before the host, and signatures and tokens in the query.

Every record, log and message passes through `hide`. What has to reach a server is carried as a secret
instead; see `launcher.secrets.conceal`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

NAME: Final = "LAUNCHER_CREDENTIAL_"
"""How the name of a secret begins that stands for a credential which was typed into an address."""

HIDDEN: Final = "***"

_LOGIN: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^\s/?#\"'`<>\[\]|\\]+)@(?!sha\d+:)")
_QUERY: Final = re.compile(
    r"([?&;](?:amp;)?)"
    r"((?:[\w.-]*[_-])?(?:sig|signature|token|secret|password|passwd|pwd|auth|credential|api-?key|accesskeyid|key))"
    r"=([^\s&#\"'`<>\[\]|\\,]*[^\s&#\"'`<>\[\]|\\,:;.)])",  # a sentence may go on after it
    re.IGNORECASE,
)
_HELD: Final = re.compile(r"\$\{[^{}]*\}|@\{secret\.\w+\}")
"""What stands for a value that is elsewhere."""
_NAMED: Final = re.compile(rf"(?:(?<=://)|(?<==))(?:@\{{secret\.|\$\{{secret:){NAME}\w+\}}")


def replace(text: str, take: Callable[[str, str, str], str]) -> str:
    """Return a text with its credentials replaced.

    Args:
        text: in which addresses may stand.
        take: returns what stands in place of a credential, given the host, the parameter of the query
            (empty for a login) and the credential.
    """
    if "://" not in text:
        return text

    def login(found: re.Match[str]) -> str:
        scheme, value = found[1], found[2]
        secret = ":" in value.rstrip(":") or scheme.rpartition("+")[2].lower() in {"http", "https"}
        if not secret or _HELD.search(value):
            return found[0]
        return f"{scheme}://{take(_host(text, found.end()), '', value)}@"

    def query(found: re.Match[str]) -> str:
        at = text.rfind("://", 0, found.start())
        if at < 0 or _HELD.search(found[3]):
            return found[0]
        host = _host(text, at + len("://"))
        return f"{found[1]}{found[2]}={take(host, found[2], found[3])}"

    text = _LOGIN.sub(login, text)
    return _QUERY.sub(query, text)


def hide(text: str) -> str:
    """Return a text without the credentials of the addresses in it."""
    return _NAMED.sub(HIDDEN, replace(text, lambda _host, _parameter, _value: HIDDEN))


def name_of(host: str, parameter: str = "") -> str:
    """Return the name of the secret that a credential for a host is carried as."""
    words = f"{host}_{parameter}" if parameter else host
    return NAME + re.sub(r"[^A-Za-z0-9]+", "_", words).strip("_").upper()


def _host(text: str, at: int) -> str:
    """Return the host of the address whose authority, or the part of it after a login, begins there."""
    authority = re.match(r"[^\s/?#\"'`<>|\\]*", text[at:])
    return authority[0].rpartition("@")[2].partition(":")[0] if authority else ""
