"""An environment packed into one file, once, for nodes that unpack it to a disk of their own."""

from __future__ import annotations

import os
import shutil
import stat
import uuid
from contextlib import suppress
from dataclasses import replace
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import TYPE_CHECKING, Final

from launcher.agent.base import atomic_json
from launcher.agent.base.node_leftovers import PATHS_RECORD
from launcher.agent.base.shared_fs import exists_on_server
from launcher.environment.build.tools import Tools
from launcher.environment.cache.folder import KEY_LENGTH, entry_of
from launcher.errors import BuildError
from launcher.store.lease import Lease

if TYPE_CHECKING:
    from launcher.spec import Prepared, Progress

PACKERS: Final = {".zst": ("zstd", "zstd -1 -T0"), ".gz": ("gzip", "gzip -1")}
"""By the ending of the archive: a program, and how it is called. The first that is there is taken."""


def of(prepared: Prepared) -> Path | None:
    """Return the archive of an environment, if it was packed."""
    return next(
        (archive for archive in _archives(prepared) if archive.is_file() and not _is_cut(archive)), None
    )


def _sign_path(archive: Path) -> Path:
    return archive.with_name(f"{archive.name}.json")


def _is_cut(archive: Path) -> bool:
    """Return whether an archive is not as large as when it was packed; older ones have no record of that."""
    known = atomic_json.read(str(_sign_path(archive)))
    return known is not None and known.get("bytes") != archive.stat().st_size


def _archives(prepared: Prepared) -> list[Path]:
    return [Path(f"{prepared.prefix}.tar{ending}") for ending in PACKERS]


def packed(prepared: Prepared, cache: Path, progress: Progress) -> Prepared:
    """Return the environment with its archive, which lies beside it; it is made where it is missing.

    Raises:
        BuildError: it cannot be packed.
    """

    def make() -> Path:
        present = [path for path in _archives(prepared) if exists_on_server(str(path))]
        cut = [path for path in present if _is_cut(path)]
        if len(cut) < len(present):  # another host has just packed it
            return next(path for path in present if path not in cut)
        again = f"again: {cut[0]} is not as large as it was" if cut else "for the nodes"
        progress.step(f"Packing the environment {again}")
        return _pack(prepared, Tools(log=entry_of(cache, prepared.key).log))

    archive = Lease(cache / "leases", f"archive-{prepared.key[:KEY_LENGTH]}").once(
        lambda: of(prepared), make, progress.step, "Waiting for another launch that packs this environment"
    )
    with suppress(OSError):  # somebody else's cache
        os.utime(archive)  # when it was used last
    return replace(prepared, archive=str(archive))


def _pack(prepared: Prepared, tools: Tools) -> Path:
    prefix = Path(prepared.prefix)
    ending = next((ending for ending, (program, _) in PACKERS.items() if shutil.which(program)), None)
    if ending is None:
        raise BuildError("environment.stage: neither zstd nor gzip is here to pack the environment with")
    files, links = holders(prefix)
    atomic_json.write(str(prefix / PATHS_RECORD), {"schema": 1, "files": files, "links": links})
    draft = prefix.with_name(f"{prefix.name}.{uuid.uuid4().hex[:8]}.draft")
    argv = ["tar", "-c", "-I", PACKERS[ending][1], "-f", str(draft), "-C", str(prefix), "."]
    try:
        tools.run(argv, "Packing the environment")
        archive = Path(f"{prefix}.tar{ending}")
        atomic_json.remove(str(_sign_path(archive)))
        size = draft.stat().st_size
        draft.rename(archive)
        atomic_json.write(str(_sign_path(archive)), {"schema": 1, "bytes": size})
        return archive
    finally:
        draft.unlink(missing_ok=True)


def holders(prefix: Path) -> tuple[list[str], list[str]]:
    """Return the files and links of an environment that hold its own path.

    Compiled modules do too, but Python looks at the path that they are loaded from.
    """
    needle = os.fsencode(prefix)
    files: list[str] = []
    links: list[str] = []
    for parent, names, leaves in os.walk(prefix):
        for name in (*names, *leaves):
            path = Path(parent, name)
            status = path.lstat()
            if stat.S_ISLNK(status.st_mode):
                if needle in os.fsencode(path.readlink()):
                    links.append(str(path.relative_to(prefix)))
            elif stat.S_ISREG(status.st_mode) and status.st_size and not name.endswith(".pyc"):
                with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
                    if content.find(needle) >= 0:
                        files.append(str(path.relative_to(prefix)))
    return files, links
