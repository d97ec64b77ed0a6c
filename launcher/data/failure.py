"""Why an input could not be fetched, and what to do about it."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING, Final

from launcher.credentials import hide
from launcher.errors import LauncherError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from launcher.data.input import Input

_NO_ACCESS: Final = (401, 403)
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)
_REASONS: Final[dict[type[BaseException], str]] = {
    ConnectionRefusedError: "connection refused",
    socket.gaierror: "unknown host",
    TimeoutError: "no answer in time",
}
_AGAIN: Final = "Check the address and the server, then launch again"


def status_of(error: BaseException) -> int | None:
    """Return the HTTP status that a server answered with."""
    status = getattr(error, "status", None)
    return status if isinstance(status, int) else None


def fetch_error(each: Input, cache: Path, error: Exception) -> LauncherError:
    """Return the error that names the input, its address, the reason and the next step."""
    reason, hint = _reason(error, cache)
    return LauncherError(f"data.inputs.{each.name}.uri: cannot fetch {hide(each.uri)}: {reason}. {hint}")


def _reason(error: Exception, cache: Path) -> tuple[str, str]:
    for cause in _chain(error):
        if isinstance(cause, OSError) and cause.errno in _FULL:
            return f"no space left in {cache}", "LAUNCHER_CACHE names another folder"
        status = status_of(cause)
        if status in _NO_ACCESS:
            return f"access denied (HTTP {status})", "Check the credentials, then launch again"
        if status is not None:
            return f"HTTP {status}", _AGAIN
        for kind, reason in _REASONS.items():
            if isinstance(cause, kind):
                return reason, _AGAIN
    if isinstance(error, FileNotFoundError):
        return f"not found: {hide(' '.join(map(str, error.args[-1:])))}", _AGAIN
    return hide(" ".join(str(error).split()) or type(error).__name__), _AGAIN


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what caused it."""
    known: list[BaseException | None] = [error]
    for cause in known:  # grows while it is walked
        if cause is None:
            continue
        yield cause
        for other in (cause.__cause__, cause.__context__, getattr(cause, "os_error", None)):
            if isinstance(other, BaseException) and other not in known:
                known.append(other)
