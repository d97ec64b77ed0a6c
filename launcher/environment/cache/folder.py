"""The cache of environments: which are there, which is ready, and how one of them is removed.

`<cache>/environments/<key>/` holds `ready.json`, written last; `build.log`; and one folder with the
installed packages, named by the build that made it, so that a build that was killed, or that lost its
lease without knowing, never touches the files of another.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from launcher.agent.base import atomic_json
from launcher.agent.base.shared_fs import claim_dir, exists_on_server, in_parent_listing, wait_until_visible
from launcher.spec import SCHEMA, Prepared
from launcher.store.shapes import PREPARED

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

    def use(self) -> None:
        """Note that somebody uses it now: the time of `ready.json`, or of an image's log, tells when."""
        for path in (self.ready, self.log):
            with suppress(OSError):  # the other, or somebody else's cache
                os.utime(path)
                return

    def prepared(self) -> Prepared | None:
        """Return the environment if it can be used here."""
        found = self.recorded()
        return found if found is not None and os.access(found.python, os.X_OK) else None

    def recorded(self) -> Prepared | None:
        """Return the environment if it is ready, be it for hosts that have another Python."""
        known = atomic_json.read(str(self.ready))
        if known is None or known.get("schema") != SCHEMA or PREPARED("", known) is not None:
            return None
        return Prepared(
            key=str(known["key"]),
            python=str(known["python"]),
            prefix=str(known["prefix"]),
            env=dict(known["env"]),
            packages=tuple(known["packages"]),
        )

    def damage(self) -> str:
        """Return what is wrong with the record of an environment that was ready; nothing if all is well."""
        if not os.path.lexists(self.ready):
            return ""
        found = self.recorded()
        if found is None:
            return f"{self.ready} is damaged"
        return "" if os.access(found.python, os.X_OK) else f"{found.python} is gone or cannot be executed"

    def settled(self) -> Prepared | None:
        """Return `prepared` for good, for who is about to build: another host may have just done so."""
        if not claim_dir(str(self.root)) and exists_on_server(str(self.ready)):
            found = self.recorded()
            if found is not None and in_parent_listing(found.python):
                wait_until_visible(found.python)
        return self.prepared()

    def finish(self, prepared: Prepared, about: dict[str, Any]) -> Prepared:
        """Declare the environment ready; where another build was first, that one counts."""
        values = {
            "schema": SCHEMA,
            "key": prepared.key,
            "python": prepared.python,
            "prefix": prepared.prefix,
            "env": dict(prepared.env),
            "packages": list(prepared.packages),
            "created": atomic_json.now(),
            **about,
        }
        atomic_json.create(str(self.ready), values)
        return self.prepared() or prepared

    def leftovers(self) -> list[Path]:
        """Return the folders of builds."""
        return [entry for entry in self.root.iterdir() if entry.is_dir() and not entry.is_symlink()]

    def sweep(self) -> None:
        """Remove what builds left that did not finish."""
        for entry in self.leftovers():
            shutil.rmtree(entry, ignore_errors=True)


def entry_of(cache: Path, key: str) -> CachedEnvironment:
    """Return the folder of the environment of a key."""
    return CachedEnvironment(cache / "environments" / key[:KEY_LENGTH])


def prepared(cache: Path, key: str) -> Prepared | None:
    """Return the environment of a key, to be used; it may be shortened to `KEY_LENGTH`. None: not ready."""
    place = entry_of(cache, key)
    found = place.prepared()
    if found is not None:
        place.use()
    return found


def bytes_of(*places: Path) -> int:
    """Return what files and folders hold, each file once however many names it has there."""
    found: dict[tuple[int, int], int] = {}
    for place in places:
        for parent, folders, names in os.walk(place):
            for name in (*folders, *names):
                _count(f"{parent}/{name}", found)  # a Path for each would take twice as long
        _count(str(place), found)
    return sum(found.values())


def _count(path: str, found: dict[tuple[int, int], int]) -> None:
    with suppress(OSError):  # gone meanwhile
        status = os.lstat(path)
        found[status.st_dev, status.st_ino] = 512 * status.st_blocks


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
    place = entry_of(cache, key)
    atomic_json.remove(str(place.ready))  # first: from here on it does not look finished
    there = place.root.is_dir()
    shutil.rmtree(place.root, ignore_errors=True)
    return there
