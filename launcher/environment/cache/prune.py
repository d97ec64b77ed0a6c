"""What of environments can go: found first, then removed, each under its lease."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.agent.base import atomic_json
from launcher.agent.base.shared_fs import list_uncached
from launcher.environment.cache import inventory
from launcher.environment.cache.folder import CachedEnvironment, bytes_of, entry_of
from launcher.environment.cache.image_names import LAYERS
from launcher.store.folders import remove_tree
from launcher.store.lease import Lease

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from launcher.environment.cache.inventory import Entry
    from launcher.store.usage import Usage

_BUILD = re.compile(r"[0-9a-f]{8}")
"""Name of the folder of one build."""
KINDS = {
    "packages": "environment",
    "conda": "environment",
    "image": "image",
    inventory.NO_IMAGE: "image",
}
"""What is kept while it is used, each with what its lease is called."""

_OWNER = "launcher.owner"


@dataclass(frozen=True, slots=True, kw_only=True)
class Waste:
    """Something to be removed."""

    kind: str
    """`packages`, `conda`, `image`; `unfinished`, `archive`, `layers`."""
    name: str
    why: str
    size: int
    """In bytes; less is freed where others share files or layers."""
    paths: tuple[Path, ...] = ()
    images: tuple[str, ...] = ()
    """Names or ids."""
    lease: str = ""
    """To be held meanwhile."""
    used: float = 0.0
    """When it was used last, as this was found."""


def unused(entries: Iterable[Entry], usage: Usage, before: float) -> Iterator[Waste]:
    """Yield environments that no run needs and nobody has used since a time, and their archives.

    Args:
        entries: all that there are.
        usage: by the runs of a store.
        before: seconds since the epoch.
    """
    for entry in entries:
        if entry.kind not in KINDS or usage.needed(entry.names, entry.used):
            continue
        if entry.used < before:
            since = time.strftime("%Y-%m-%d", time.localtime(entry.used))
            images = (entry.place, *entry.more) if entry.kind == "image" else ()
            yield Waste(
                kind=entry.kind, name=entry.name, why=f"not used since {since}", size=entry.size,
                paths=(entry.log.parent,) if entry.log else (), images=images,
                lease=f"{KINDS[entry.kind]}-{entry.name}", used=entry.used,
            )  # fmt: skip
        elif entry.archive is not None and entry.archive.stat().st_mtime < before:
            yield Waste(
                kind="archive", name=entry.name, why="not unpacked for as long", size=bytes_of(entry.archive),
                paths=(entry.archive,), lease=f"archive-{entry.name}",
            )  # fmt: skip


def unfinished(cache: Path, entries: Iterable[Entry]) -> Iterator[Waste]:
    """Yield what builds left that did not finish and that nobody goes on with."""
    for entry in entries:
        if entry.kind == inventory.UNFINISHED:
            yield Waste(
                kind=entry.kind, name=entry.name, why="its build did not finish", size=entry.size,
                paths=(entry_of(cache, entry.key).root,), lease=f"environment-{entry.name}",
            )  # fmt: skip
        elif entry.kind in {"packages", "conda"} and not inventory.held(cache, entry.name, "archive"):
            strays = tuple(_strays(entry))
            if strays:
                yield Waste(
                    kind="unfinished", name=entry.name, why="beside what is used", size=bytes_of(*strays),
                    paths=strays, lease=f"archive-{entry.name}",
                )  # fmt: skip
    for place in sorted(cache.glob("wheels/*")):
        left = (
            tuple(path for path in place.iterdir() if _BUILD.fullmatch(path.name)) if place.is_dir() else ()
        )
        if left and not inventory.held(cache, place.name, "wheel"):
            yield Waste(
                kind="unfinished", name=place.name, why="a build of Horovod did not finish",
                size=bytes_of(*left), paths=left, lease=f"wheel-{place.name}",
            )  # fmt: skip


def _strays(entry: Entry) -> Iterator[Path]:
    """Yield folders of builds that lost, and archives of them or that did not get whole."""
    prefix = Path(entry.place)
    for path in sorted(prefix.parent.iterdir()):
        lost = path.is_dir() and not path.is_symlink() and path != prefix
        mine = path.name.startswith(f"{prefix.name}.tar")  # also one that a stale cache denies
        if lost or path.suffix == ".draft" or (".tar" in path.suffixes and not mine):
            yield path


def in_engine(client: Any, cache: Path, going: Sequence[Waste], before: float) -> Iterator[Waste]:
    """Yield layers that no environment stands on any more, and what killed builds have committed.

    Args:
        client: of the engine.
        cache: of environments.
        going: what will be removed before.
        before: what is younger stays.

    Raises:
        EngineError: the engine refused, or is gone.
    """
    from launcher.engine import shelf  # noqa: PLC0415  # only where there is an engine
    from launcher.engine.made import BUILD, abandoned  # noqa: PLC0415

    if _builds(cache):  # they stand on layers that are not theirs yet
        return
    gone = {name for waste in going for name in waste.images}
    kept = [name for image in shelf.listed(client, label=inventory.LABEL) for name in image.tags]
    stacks = [shelf.layers(client, name) for name in kept if name not in gone]
    for image in shelf.listed(client, reference=LAYERS):
        own = shelf.layers(client, image.id)
        if image.created >= before or any(stack[: len(own)] == own for stack in stacks):
            continue
        for tag in image.tags:
            yield Waste(
                kind="layers", name=tag, why="no environment needs them", size=image.size, images=(tag,)
            )
    left = [image for image in shelf.listed(client, dangling=True, label=_OWNER) if abandoned(image.labels)]
    steps = shelf.listed(client, dangling=True, label=f"{BUILD}=1")
    left += [image for image in steps if not image.labels.get(_OWNER) and image.created < before]
    for image in left:
        why = "its build did not finish"
        yield Waste(kind="image", name=image.id[7:19], why=why, size=image.size, images=(image.id,))


def _builds(cache: Path) -> bool:
    """Tell whether an image is being built just now, or Horovod for one."""
    names = {path.name.partition(".")[0] for path in cache.glob("leases/*.json")}
    return any(
        Lease(cache / "leases", name).held() for name in names if name.startswith(("image-", "wheel-"))
    )


def remove(waste: Waste, cache: Path, client: Any) -> str:
    """Remove something; return why it was not.

    Raises:
        EngineError: the engine is gone.
    """
    if not waste.lease:
        return _remove(waste, client)
    lease = Lease(cache / "leases", waste.lease)
    if not lease.try_take():
        return "somebody builds it just now"
    with lease:
        if waste.kind == inventory.UNFINISHED and _finished(waste):
            return "its build has just finished"
        if waste.used and _used(waste) > waste.used:
            return "somebody has used it just now"
        return _remove(waste, client)


def _finished(waste: Waste) -> bool:
    """Tell whether what looked like the rest of a build has become an environment since."""
    places = [CachedEnvironment(path) for path in waste.paths if path.is_dir()]
    return any(place.ready.name in list_uncached(str(place.root)) for place in places)


def _used(waste: Waste) -> float:
    places = [CachedEnvironment(path) for path in waste.paths]
    marks = [place.ready if waste.kind in {"packages", "conda"} else place.log for place in places]
    for mark in marks:
        with suppress(OSError):
            mark.open("rb").close()  # NFS asks for a file's time as it is opened
    return max(map(inventory.changed, marks), default=0.0)


def _remove(waste: Waste, client: Any) -> str:
    if waste.images:
        from launcher.engine import shelf  # noqa: PLC0415  # only where there is an engine

        problems = [shelf.remove(client, name) for name in waste.images]
        if any(problems):
            return next(filter(None, problems))
    for path in waste.paths:
        if path.is_dir():
            atomic_json.remove(
                str(CachedEnvironment(path).ready)
            )  # first: it does not look finished from here on
            if not remove_tree(path):
                return f"{path} cannot be removed"
        else:
            atomic_json.remove(str(path))
    return ""


def as_json(waste: Waste) -> dict[str, Any]:
    """Return it for `--json`."""
    return {"kind": waste.kind, "name": waste.name, "why": waste.why, "size_bytes": waste.size}
