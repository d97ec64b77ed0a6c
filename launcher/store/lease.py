"""A lease: of all processes that need the same thing, on any host that shares the cache, one builds it.

A lease is a chain of exclusively created files. `NAME.json` names the first holder; where that holder
died, the file `NAME.<its nonce>.json` names the next, and so on: the last of the chain holds. A nonce
is used once, so two heirs of one dead holder cannot both win, however late one of them acts. Releasing
removes the chain from its head. Correct on NFS: exclusive create and unlink only.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

from launcher.agent.base import atomic_json, process_identity

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")

BEAT_S = 10.0
STALE_S = 90.0
"""A holder that cannot be seen from here (another host) is given up after so long without a beat."""
SKEW_S = 86_400.0
"""Clocks of hosts do not differ by so much: a beat that is older by this one's is given up at once."""


@dataclass
class Lease:
    """The right to build one thing. `with` releases it."""

    folder: Path
    name: str
    nonce: str = field(default_factory=lambda: uuid.uuid4().hex)
    _seen: dict[Path, tuple[float, float]] = field(default_factory=dict[Path, tuple[float, float]])
    """Per file of a holder elsewhere: its time of change, and when that was first seen."""
    _stop: threading.Event = field(default_factory=threading.Event)

    def _file(self, nonce: str = "") -> Path:
        return self.folder / (f"{self.name}.{nonce}.json" if nonce else f"{self.name}.json")

    def _chain(self) -> list[tuple[Path, dict[str, object]]]:
        """Return the files from the first holder to the present one."""
        chain: list[tuple[Path, dict[str, object]]] = []
        path = self._file()
        while (holder := atomic_json.read(str(path))) is not None:
            chain.append((path, holder))
            path = self._file(str(holder["nonce"]))
        return chain

    def _dead(self, path: Path, holder: dict[str, object]) -> bool:
        alive = process_identity.is_alive(holder)
        if alive is not None:
            return not alive
        try:
            changed = path.stat().st_mtime
        except OSError:
            return False  # just released: look again
        if time.time() - changed > SKEW_S:
            return True
        now = time.monotonic()  # clocks of hosts differ: only this host's clock is compared
        before = self._seen.get(path)
        if before is None or before[0] != changed:
            self._seen[path] = (changed, now)
            return False
        return now - before[1] > STALE_S

    def holds(self) -> bool:
        """Tell whether this lease is still the present one."""
        chain = self._chain()
        return bool(chain) and chain[-1][1].get("nonce") == self.nonce

    def held(self) -> bool:
        """Tell whether somebody holds it who may be alive."""
        chain = self._chain()
        return bool(chain) and not self._dead(*chain[-1])

    def try_take(self) -> bool:
        """Take the lease if nobody alive holds it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        chain = self._chain()
        if chain and not self._dead(*chain[-1]):
            return False
        after = str(chain[-1][1]["nonce"]) if chain else ""
        path = self._file(after)
        try:
            if not atomic_json.create(str(path), {**process_identity.identity(), "nonce": self.nonce}):
                return False
        except FileNotFoundError:  # the file that was in the way is gone already
            return False
        if not self.holds():  # the chain was released meanwhile
            atomic_json.remove(str(path))
            return False
        threading.Thread(target=self._beat, args=(path,), name="lease", daemon=True).start()
        return True

    def _beat(self, path: Path) -> None:
        while not self._stop.wait(BEAT_S):
            with contextlib.suppress(OSError):
                os.utime(path)

    def release(self) -> None:
        """Give the lease back."""
        self._stop.set()
        chain = self._chain()
        if chain and chain[-1][1].get("nonce") == self.nonce:
            for path, _ in chain:
                atomic_json.remove(str(path))

    def once(
        self, find: Callable[[], _T | None], make: Callable[[], _T], step: Callable[[str], object], text: str
    ) -> _T:
        """Return what `find` finds; make it under the lease if nobody else makes it.

        While another process makes it, `step` gets `text` and the seconds waited, twice a second.
        `find` may answer from what this host remembers of a shared disk, so `make` asks the server first.
        """
        begin = time.monotonic()
        pause = 0.02
        while (found := find()) is None:
            if self.try_take():
                with self:
                    found = find()
                    return make() if found is None else found
            step(f"{text} ({time.monotonic() - begin:.0f} s)")
            time.sleep(pause)
            pause = min(pause * 1.5, 0.5)
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
