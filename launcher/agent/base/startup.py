"""What a process of the launcher sets right before anything else: descriptors and encoding."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# What reads nothing sees the end, what prints its answer gets EBADF as from a closed descriptor,
# and messages go nowhere.
_MODES = (os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)


def open_missing() -> None:
    """Open those of the descriptors 0, 1 and 2 that are closed on /dev/null: no other file gets their number.

    Call it before anything opens a file that stays open.
    """
    for number, mode in enumerate(_MODES):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, mode)  # the lowest free number, which is this one
            os.set_inheritable(number, True)
    if getattr(sys, "stderr", None) is None:  # Python found it closed, and print would take stdout instead
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)


def use_utf8(arguments: Sequence[str]) -> None:
    """Start this process again in UTF-8 mode if its locale has another encoding.

    Records and messages hold arguments and file names as UTF-8 with surrogateescape, on every host.

    Args:
        arguments: of this Python, its own options included.
    """
    if sys.getfilesystemencoding() != "utf-8":
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *arguments])  # noqa: S606  # no shell
