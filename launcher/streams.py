"""Standard output and standard error of a command: a failure to write ends nothing.

The first failure of each is kept, and what follows it is dropped. A launch goes on, a command whose
whole job is to print ends, and `report` prints what went wrong. Text is UTF-8; bytes that were no UTF-8
are written as they came.
"""

from __future__ import annotations

import codecs
import io
import os
import select
import sys
from typing import TYPE_CHECKING

from launcher.agent.base.startup import open_missing

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

ERRORS = "launcher.original_bytes"
"""The error handler that turns text into the bytes that it was decoded from."""


class _Descriptor(io.RawIOBase):
    """A descriptor that is written until a write fails."""

    def __init__(self, number: int) -> None:
        self._number = number
        self.error: OSError | None = None

    def fileno(self) -> int:
        """See `io.RawIOBase`."""
        return self._number

    def isatty(self) -> bool:
        """See `io.RawIOBase`."""
        return os.isatty(self._number)

    def writable(self) -> bool:
        """See `io.RawIOBase`."""
        return True

    def write(self, data: ReadableBuffer, /) -> int:
        """Write, or drop what cannot be written."""
        while self.error is None:
            try:
                return os.write(self._number, data)
            except BlockingIOError:  # somebody else made the pipe non-blocking
                select.select([], [self._number], [])
            except OSError as error:
                self.error = error
        return memoryview(data).nbytes


def open_standard() -> None:
    """Take over standard output and standard error of this process."""
    open_missing()
    sys.stdout, sys.stderr = _stream(1, line_buffering=os.isatty(1)), _stream(2, line_buffering=True)


def _stream(number: int, *, line_buffering: bool) -> io.TextIOWrapper:
    buffer = io.BufferedWriter(_Descriptor(number))
    return io.TextIOWrapper(buffer, encoding="utf-8", errors=ERRORS, line_buffering=line_buffering)


def output_error() -> OSError | None:
    """Return why standard output could not be written, or None."""
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    if not isinstance(raw, _Descriptor):  # a process of somebody else, or a test
        return None
    sys.stdout.flush()
    return raw.error


def print_code(code: int = 0) -> int:
    """Return the exit code of a command whose whole job is to print, 1 if it could not.

    A reader that has gone, such as `head`, is no failure.
    """
    error = output_error()
    return 1 if code == 0 and error is not None and not isinstance(error, BrokenPipeError) else code


def report() -> None:
    """Write what is left, and print on standard error why standard output could not be written."""
    error = output_error()
    if error is not None and not isinstance(error, BrokenPipeError):
        print(f"standard output cannot be written: {error.strerror}", file=sys.stderr)  # noqa: T201
    sys.stderr.flush()


def encode(text: str) -> bytes:
    """Return text as UTF-8, with the bytes that were none as they came."""
    return text.encode("utf-8", ERRORS)


def is_utf8(text: str, errors: str = "strict") -> bool:
    """Return whether UTF-8 can hold a text; with `surrogateescape`, whether it has bytes at all."""
    try:
        text.encode("utf-8", errors)
    except UnicodeEncodeError:
        return False
    return True


def _original_bytes(error: UnicodeError) -> tuple[bytes, int]:
    """Encode as `surrogateescape` does, and other surrogates as text: JSON and YAML can hold them."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return b"".join(map(_bytes, error.object[error.start : error.end])), error.end


def _bytes(char: str) -> bytes:
    if 0xDC80 <= ord(char) <= 0xDCFF:  # noqa: PLR2004  # PEP 383
        return bytes([ord(char) - 0xDC00])
    return char.encode("utf-8", "backslashreplace")


codecs.register_error(ERRORS, _original_bytes)
