"""Records in the store: written whole, created exclusively, owned by a process that can be checked.

Correct on NFS: only rename, link and mkdir; no locks. A call that is retried after a lost answer is
recognised by the content that it finds.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import time
import zlib
from typing import Any, cast

SCHEMA = 1

_SUM = b',"crc32":"'
_SUM_LENGTH = len(_SUM) + len('01234567"}')


def encode(value: object) -> bytes:
    """Return JSON as bytes; any file name survives, also one that is not UTF-8."""
    return json.dumps(value, ensure_ascii=True, separators=(",", ":")).encode("ascii")


def seal(value: object) -> bytes:
    """Return a record, which has at least one field, as JSON with a checksum as its last field."""
    data = encode(value)
    return b'%s%s%08x"}' % (data[:-1], _SUM, zlib.crc32(data))


def parse(data: bytes) -> dict[str, Any]:
    """Return the record of a file's bytes, without its checksum; a record may have none.

    Raises:
        ValueError: the bytes are not a record, or not what was written.
    """
    head, end = data[:-_SUM_LENGTH], data[-_SUM_LENGTH:]
    if end.startswith(_SUM):
        data = head + b"}"
        if end[len(_SUM) :] != b'%08x"}' % zlib.crc32(data):
            raise ValueError("its checksum differs from its content")
    try:
        value = json.loads(data)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except ValueError:
        raise ValueError("it is empty" if not data.strip() else "it is not JSON") from None
    if not isinstance(value, dict):
        raise ValueError(  # noqa: TRY004  # of bytes, not of an argument
            "it holds %s instead of an object" % type(value).__name__
        )
    if not value:
        raise ValueError("it holds nothing")
    return cast("dict[str, Any]", value)


def read(path: str) -> dict[str, Any] | None:
    """Return a record, or None where there is none (also one that is not JSON, as after a full disk)."""
    try:
        with open(path, "rb") as file:
            return parse(file.read())
    except (OSError, ValueError):
        return None


def _draft(path: str, data: bytes) -> str:
    folder, name = os.path.split(path)
    draft = os.path.join(folder, ".%s.%s" % (name, os.urandom(16).hex()))  # not the pid: hosts share the disk
    try:
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(data)
    except BaseException:
        remove(draft)
        raise
    return draft


def complain(text: str) -> None:
    """Write a line to the log of this process. It may be on the disk that is full: nothing ends for that."""
    with contextlib.suppress(OSError):
        os.write(2, text.encode(errors="replace") + b"\n")


def remove(path: str) -> None:
    """Remove a file that may be gone."""
    with contextlib.suppress(OSError):
        os.unlink(path)


def write(path: str, value: object) -> None:
    """Put a record in place, whole, over an older one."""
    draft = _draft(path, seal(value))
    try:
        os.replace(draft, path)
    except BaseException:
        remove(draft)
        raise


def create(path: str, value: object) -> bool:
    """Create a record unless it exists; tell whether it now holds `value`."""
    data = seal(value)
    draft = _draft(path, data)
    try:
        os.link(draft, path)
    except FileExistsError:
        try:
            with open(path, "rb") as file:  # a retried link whose first answer was lost
                return file.read() == data
        except FileNotFoundError:  # removed since
            return False
    finally:
        remove(draft)
    return True


def publish(draft: str, folder: str) -> bool:
    """Rename a folder to its final name; tell whether nobody else's was there already."""
    try:
        os.rename(draft, folder)
    except OSError as error:  # the word of the server first, for a lookup may be old
        if error.errno not in {errno.EEXIST, errno.ENOTEMPTY} and not os.path.isdir(folder):
            raise
        return False
    return True


def now() -> float:
    """Return the time as records hold it: seconds since the epoch, to the millisecond."""
    return round(time.time(), 3)
