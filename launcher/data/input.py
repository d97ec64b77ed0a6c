"""One input of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.paths import expand_home

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One input."""

    name: str
    uri: str = ""
    """A path, an address such as `https://…` or `s3://…`, or `launcher:digits`."""
    mode: str = "mount"
    """`mount` uses a path where it is, `download` a copy of it in the cache; addresses are always fetched."""
    files: tuple[tuple[str, ...], ...] = ()
    """The files that it must have, each with the names that it may go by."""
    at: str = ""
    """Path in the working folder where a link to it is put."""
    layout: str = ""
    """Of MNIST's four files: `keras`, `torchvision` or `azure`, whose names and forms a copy of them has."""

    @property
    def scheme(self) -> str:
        """What stands before `://`; `file` for a path, `launcher` for what comes with this package."""
        if self.uri.startswith("launcher:"):
            return "launcher"
        head, found, _ = self.uri.partition("://")
        return head if found else "file"

    @property
    def path(self) -> Path:
        """The path of an input on this machine."""
        return expand_home(self.uri.removeprefix("file://"), "data.inputs")
