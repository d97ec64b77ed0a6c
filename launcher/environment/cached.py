"""The cache of environments: which are there, which is ready, and how one of them is removed.

`<cache>/environments/<key>/` holds `ready.json`, written last; `build.log`; and one folder with the
installed packages, named by the build that made it, so that a build that was killed, or that lost its
lease without knowing, never touches the files of another.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from launcher.agent import record
from launcher.spec import SCHEMA, Prepared

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY_LENGTH = 20
"""Digits of the key in names: 80 bits."""


@dataclass(frozen=True, slots=True)
class CachedEnvironment:
    """The folder of one environment."""

    root: Path

    @property
    def ready(self) -> Path:
        """Exists once the packages were imported; holds what `Prepared` does."""
        return self.root / "ready.json"

    @property
    def log(self) -> Path:
        """What the builder said."""
        return self.root / "build.log"

    def prepared(self) -> Prepared | None:
        """Return the environment if it can be used."""
        known = record.read(str(self.ready))
        if known is None or known.get("schema") != SCHEMA or not os.access(str(known["python"]), os.X_OK):
            return None
        return Prepared(
            key=str(known["key"]),
            python=str(known["python"]),
            prefix=str(known["prefix"]),
            env=dict(known["env"]),
            packages=tuple(known["packages"]),
        )

    def finish(self, prepared: Prepared, about: dict[str, Any]) -> Prepared:
        """Declare the environment ready; where another build was first, that one counts."""
        values = {
            "schema": SCHEMA,
            "key": prepared.key,
            "python": prepared.python,
            "prefix": prepared.prefix,
            "env": dict(prepared.env),
            "packages": list(prepared.packages),
            "created": record.now(),
            **about,
        }
        record.create(str(self.ready), values)
        return self.prepared() or prepared

    def leftovers(self, keep: str = "") -> list[Path]:
        """Return the folders of builds, but for the one to keep."""
        entries = list(self.root.iterdir())
        return [
            entry for entry in entries if entry.is_dir() and not entry.is_symlink() and entry.name != keep
        ]

    def sweep(self, keep: str = "") -> None:
        """Remove what builds left that did not finish."""
        for entry in self.leftovers(keep):
            shutil.rmtree(entry, ignore_errors=True)


def folder(cache: Path, key: str) -> CachedEnvironment:
    """Return the folder of the environment of a key."""
    return CachedEnvironment(cache / "environments" / key[:KEY_LENGTH])


def prepared(cache: Path, key: str) -> Prepared | None:
    """Return the environment of a key, which may be shortened to `KEY_LENGTH`, if it is ready."""
    return folder(cache, key).prepared()


def environments(cache: Path) -> Iterator[Prepared]:
    """Yield the environments that are ready."""
    try:
        roots = sorted((cache / "environments").iterdir())
    except FileNotFoundError:
        return
    for root in roots:
        known = CachedEnvironment(root).prepared()
        if known is not None:
            yield known


def remove(cache: Path, key: str) -> bool:
    """Remove an environment; tell whether it was there. Runs that use it now will break."""
    place = folder(cache, key)
    record.remove(str(place.ready))  # first: from here on it does not look finished
    there = place.root.is_dir()
    shutil.rmtree(place.root, ignore_errors=True)
    return there
