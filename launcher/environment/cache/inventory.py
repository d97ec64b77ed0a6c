"""What environments there are: folders of the cache, and images in the engine."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.environment.cache import archive
from launcher.environment.cache.folder import KEY_LENGTH, CachedEnvironment, bytes_of, entry_of
from launcher.environment.cache.image_names import LABEL, REPOSITORY
from launcher.store import records
from launcher.store.lease import Lease

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from launcher.engine.shelf import Shelved
    from launcher.spec import Prepared


UNFINISHED = "unfinished"
NO_IMAGE = "no image"
"""Only the log of one: its build did not finish, it was removed, or another engine has it."""
BUILDING = "building"

_KEY = re.compile(rf"[0-9a-f]{{{KEY_LENGTH}}}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An environment, or the build of one."""

    key: str
    """As long as it is known; the first `KEY_LENGTH` digits name it."""
    kind: str
    """`packages`, `conda`, `image`; `unfinished`, `building`, `no image`."""
    wants: tuple[str, ...] = ()
    """What it was asked for."""
    packages: tuple[str, ...] = ()
    python: str = ""
    place: str = ""
    """Its prefix, or the name of the image."""
    more: tuple[str, ...] = ()
    """Further names of the image, or of others of the same key, such as one that was pushed."""
    ids: tuple[str, ...] = ()
    """Of these images."""
    digests: tuple[str, ...] = ()
    """`repository@sha256:…` of an image that a registry has."""
    log: Path | None = None
    archive: Path | None = None
    size: int = 0
    """In bytes; of an image, with the layers that others share."""
    created: float = 0.0
    used: float = 0.0
    build_s: float | None = None
    env: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def name(self) -> str:
        """The digits of the key by which it is found."""
        return self.key[:KEY_LENGTH]

    @property
    def names(self) -> tuple[str, ...]:
        """By which records of runs name it."""
        return (self.name, *self.ids, *self.digests)


def places(cache: Path) -> list[CachedEnvironment]:
    """Return the folders of environments, also of those that are images."""
    try:
        found = sorted((cache / "environments").iterdir())
    except OSError:
        return []
    return [CachedEnvironment(root) for root in found if _KEY.fullmatch(root.name)]


def of_image(place: CachedEnvironment) -> bool:
    """Tell whether a folder holds log and working files of an image."""
    return (place.root / "work").is_dir()


def held(cache: Path, key: str, *whats: str) -> bool:
    """Tell whether somebody builds what belongs to a key just now: `environment`, `image`, `archive`."""
    return any(Lease(cache / "leases", f"{what}-{key}").held() for what in whats)


def folders(cache: Path, images: Iterable[Entry] | None) -> Iterator[Entry]:
    """Yield the environments in the cache, and builds that are not finished.

    Args:
        cache: of environments.
        images: those of the engine; None where it was not asked, and folders of images are passed over.
    """
    named = {entry.name for entry in images or ()}
    for place in places(cache):
        key = place.root.name
        found = place.recorded()
        if found is not None:
            yield _ready(place, found)
        elif key in named:  # `images` has it
            continue
        elif held(cache, key, "environment", "image"):
            yield _build(place, BUILDING)
        elif not (images is None and of_image(place)):
            yield _build(place, NO_IMAGE if of_image(place) else UNFINISHED)


def _ready(place: CachedEnvironment, found: Prepared) -> Entry:
    known = records.read(place.ready) or {}
    packed = archive.of(found)
    return Entry(
        key=found.key,
        kind="conda" if "CONDA_PREFIX" in found.env else "packages",
        wants=tuple(known.get("wants") or ()),
        packages=found.packages,
        python=found.python,
        place=found.prefix,
        log=place.log,
        archive=packed,
        size=int(known.get("bytes") or bytes_of(Path(found.prefix))) + (bytes_of(packed) if packed else 0),
        created=float(known.get("created") or 0),
        used=changed(place.ready),
        build_s=known.get("build_s"),
        env=found.env,
    )


def _build(place: CachedEnvironment, kind: str) -> Entry:
    log = place.log if place.log.exists() else None
    used = changed(log or place.root)
    size = 0 if kind == BUILDING else bytes_of(place.root)  # it grows
    return Entry(key=place.root.name, kind=kind, log=log, created=used, used=used, size=size)


def changed(path: Path) -> float:
    """Return when a file was changed, in seconds since the epoch; 0 where it is not there."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def image_entries(cache: Path, shelved: Iterable[Shelved]) -> list[Entry]:
    """Return the environments among images with `LABEL`, each key once; what is made from them is none."""
    found: list[Entry] = []
    for image in shelved:
        try:
            known: dict[str, Any] = json.loads(image.labels[LABEL])
            python = str(known["python"])
        except (KeyError, ValueError, TypeError):
            continue
        for name in image.tags:
            repository, _, tag = name.rpartition(":")
            key = str(known.get("key") or tag)
            if not _KEY.fullmatch(tag) or key[:KEY_LENGTH] != tag:
                continue
            if repository != REPOSITORY and "key" not in known:
                continue
            log = entry_of(cache, tag).log
            found.append(
                Entry(
                    key=key,
                    kind="image",
                    wants=tuple(known.get("wants") or ()),
                    packages=tuple(known.get("packages") or ()),
                    python=python,
                    place=name,
                    ids=(image.id,),
                    digests=image.digests,
                    log=log if log.exists() else None,
                    size=image.size,
                    created=image.created,
                    used=max(image.created, changed(log)),
                    build_s=known.get("build_s"),
                    env=dict(known.get("env") or {}),
                )
            )
    by_key: dict[str, list[Entry]] = {}
    for entry in sorted(found, key=lambda entry: not entry.place.startswith(f"{REPOSITORY}:")):
        by_key.setdefault(entry.key, []).append(entry)
    return [_joined(entries) for entries in by_key.values()]


def _joined(entries: Sequence[Entry]) -> Entry:
    """Return one entry for the images of a key."""
    sizes = {entry.ids: entry.size for entry in entries}  # one that has several names is there once
    return replace(
        entries[0],
        more=tuple(entry.place for entry in entries[1:]),
        ids=tuple(dict.fromkeys(id_ for entry in entries for id_ in entry.ids)),
        digests=tuple(dict.fromkeys(digest for entry in entries for digest in entry.digests)),
        size=sum(sizes.values()),
        used=max(entry.used for entry in entries),
    )
