"""What a failed tool advises: what mends the failure, whatever the tool was called for."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from launcher.environment.build.tools import Tools
from launcher.errors import BuildError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("error: Failed to write: No space left on device (os error 28)", "The disk is full: "),
        ("error: Disk quota exceeded (os error 122)", "The disk is full: "),
        ("HTTP status client error (401 Unauthorized) for url (http://x/)", "The index, or a proxy, refuses"),
        ("dns error: failed to lookup address information", "The index cannot be reached: "),
        ("No solution found when resolving dependencies", "Look at the packages"),
    ],
)
def test_a_hint_is_about_what_failed(tmp_path: Path, said: str, hint: str) -> None:
    argv = [sys.executable, "-c", f"import sys; print({said!r}); sys.exit(1)"]
    with pytest.raises(BuildError) as caught:
        Tools(log=tmp_path / "log").run(argv, "Installing packages", hint="Look at the packages")
    assert str(caught.value).splitlines()[-1].startswith(hint)
