"""Programs that stand in for Slurm's own: scripts on PATH, which note how they were called."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

_NOTE = """\
#!/bin/sh
calls={calls}
{{ for word in "$@"; do printf '%s\\037' "$word"; done; printf '\\036'; }} >>"$calls"
"""


class StandIns:
    """A folder that is first on PATH."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        folder.mkdir()
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    def make(self, name: str, script: str = "", says: str = "") -> None:
        """Make a program, or another one in its place.

        Args:
            name: of the program.
            script: lines of shell.
            says: text that it prints first.
        """
        said = self.folder / f"{name}.says"
        said.write_text(says, encoding="utf-8")
        draft = self.folder / f"{name}.draft"
        note = _NOTE.format(calls=self._notes(name))
        draft.write_text(f'{note}cat "{said}"\n{script}\n', encoding="utf-8")
        draft.chmod(0o755)
        draft.replace(self.folder / name)

    def calls(self, name: str) -> list[list[str]]:
        """Return the arguments of every call."""
        notes = self._notes(name)
        text = notes.read_text(encoding="utf-8") if notes.exists() else ""
        return [call.split("\037")[:-1] for call in text.split("\036")[:-1]]

    def _notes(self, name: str) -> Path:
        return self.folder / f"{name}.calls"
