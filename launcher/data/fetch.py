"""Brings inputs to this machine: each once, whole or not at all."""

from __future__ import annotations

import glob
import os
import shutil
from hashlib import sha256
from importlib import import_module
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from launcher.agent.base import atomic_json, integrity
from launcher.agent.base.shared_fs import exists_on_server
from launcher.credentials import hide
from launcher.data import digits
from launcher.data.failure import fetch_error, status_of
from launcher.errors import LauncherError
from launcher.secrets import fill
from launcher.store.lease import Lease

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from launcher.data.input import Input
    from launcher.spec import Progress

CONNECT_S = 30
SILENT_S = 60
"""Seconds after which a server that sends nothing counts as failed."""


def bring(each: Input, cache: Path, progress: Progress) -> Path:
    """Return the absolute path of an input, fetched if need be, in the layout that it shall have.

    Raises:
        LauncherError: it cannot be fetched.
    """
    path = _fetched(each, cache, progress)
    if not each.layout:
        return path
    from launcher.data import layouts  # noqa: PLC0415  # few inputs have one

    try:
        files = layouts.four_files(path)
        target = cache / "data" / f"{each.name}-{each.layout}-{layouts.mark(path, each.layout)}"
        return once(target, lambda draft: layouts.MAKERS[each.layout](files, draft), progress)
    except LauncherError as error:
        raise LauncherError(f"data.inputs.{each.name}.layout: {error}") from error


def _fetched(each: Input, cache: Path, progress: Progress) -> Path:
    folder = cache / "data"
    if each.scheme == "launcher":
        target = folder / f"digits-{digits.CSV_SHA256[:12]}"
        if not target.is_dir():
            progress.step("fetching digits")
        return once(target, lambda draft: digits.fetch(draft, _uv()), progress)
    if each.scheme == "file":
        if each.mode == "mount":
            return each.path.absolute()
        progress.step(f"copying {each.name}")
        target = folder / f"{each.name}-{_digest(each.path)}"
        return once(target, lambda draft: _copy(each.path, draft), progress)
    target = folder / f"{each.name}-{sha256(repr((hide(each.uri), each.files)).encode()).hexdigest()[:16]}"
    return once(target, lambda draft: _download(each, draft, cache, progress), progress)


def once(target: Path, make: Callable[[Path], None], progress: Progress) -> Path:
    """Let one process of all make `target` in the cache; the others wait for it.

    What is damaged there is made again.
    """

    def make_whole() -> Path:
        damage = damage_of(target)
        if exists_on_server(str(target)) and not damage:  # of another host, just now
            return target
        if damage:
            progress.step(f"fetching {target.name} again: the cache has lost {damage}")
            atomic_json.remove(integrity.record_path(str(target)))
            target.rename(target.with_name(f".{target.name}.{uuid4().hex}"))  # removed as a draft is
        for left in target.parent.glob(f".{glob.escape(target.name)}.*"):  # of one that was killed
            shutil.rmtree(left, ignore_errors=True)
        draft = target.with_name(f".{target.name}.{uuid4().hex}")
        try:
            make(draft)
            if not lease.holds():  # given up for dead: another may have removed a part of it
                raise LauncherError(f"{target.name} was not fetched in time. Launch again")
            held = integrity.read_content(str(draft))
            integrity.seal(str(draft), str(target), held.digests, held.folders, held.links)
            atomic_json.publish(str(draft), str(target))
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        return target

    target.parent.mkdir(parents=True, exist_ok=True)
    lease = Lease(target.parents[1] / "leases", f"data-{target.name}")
    return lease.once(
        lambda: target if target.exists() and not damage_of(target) else None,
        make_whole,
        progress.step,
        f"waiting for another launch that fetches {target.name}",
    )


def damage_of(target: Path) -> str:
    """Return which files in the cache are not as they were fetched; nothing if all are.

    What was added counts as no damage: libraries put their own files beside what they read.
    """
    changes = integrity.find_changes(str(target)) if target.exists() else []
    return integrity.describe([change for change in changes if not change.endswith(" (new)")])


def _copy(source: Path, draft: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, draft)
    else:
        draft.mkdir()
        shutil.copy2(source, draft / source.name)


def _digest(source: Path) -> str:
    """Return a hash of the names and contents of everything in a folder, or of one file."""
    digest = sha256()
    files = sorted(path for path in source.rglob("*") if path.is_file()) if source.is_dir() else [source]
    for path in files:
        digest.update(os.fsencode(path.relative_to(source.parent)) + b"\0")
        with path.open("rb") as content:
            while block := content.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()[:16]


def _download(each: Input, draft: Path, cache: Path, progress: Progress) -> None:
    try:
        fsspec: Any = import_module("fsspec")  # an extra
    except ImportError as error:
        raise LauncherError(
            f"data.inputs.{each.name}.uri: {hide(each.uri)} needs: pip install 'launcher[data]'"
        ) from error
    address = fill(each.uri)
    try:
        system, path = fsspec.core.url_to_fs(address, **_options(each.scheme))
        draft.mkdir()
        _get(system, str(path), each, draft, progress)
    except ImportError as error:
        raise LauncherError(f"data.inputs.{each.name}.uri: {hide(each.uri)}: {error}") from error
    except Exception as error:  # each file system raises errors of its own
        raise fetch_error(each, cache, error) from error


def _options(scheme: str) -> dict[str, Any]:
    """Return the options of a file system: a download may take long, but not be silent for long."""
    if scheme not in {"http", "https"}:
        return {}
    aiohttp: Any = import_module("aiohttp")
    limits = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=SILENT_S)
    return {"client_kwargs": {"timeout": limits}}


def _get(system: Any, path: str, each: Input, draft: Path, progress: Progress) -> None:
    if not each.files:
        progress.step(f"fetching {each.name}")
        if each.uri.endswith("/") or (each.scheme not in {"http", "https"} and system.isdir(path)):
            system.get(path.rstrip("/") + "/", f"{draft}/", recursive=True)
        else:
            name = path.partition("?")[0] if each.scheme in {"http", "https"} else path
            system.get_file(path, str(draft / name.rpartition("/")[2]))
        return
    for number, names in enumerate(each.files):
        progress.step(f"fetching {each.name}: {names[0]}", number / len(each.files))
        _get_first(system, [f"{path.rstrip('/')}/{name}" for name in names], draft)


def _get_first(system: Any, paths: list[str], draft: Path) -> None:
    """Fetch the first of several files that exists.

    Raises:
        FileNotFoundError: none exists; or another error, of the first that may exist.
    """
    denied: Exception | None = None
    for path in paths:
        try:
            return system.get_file(path, str(draft / path.rpartition("/")[2]))
        except FileNotFoundError:
            continue
        except Exception as error:
            if status_of(error) not in {401, 403}:  # which some servers answer for what does not exist
                raise
            denied = denied or error
    names = " or ".join(path.rpartition("/")[2] for path in paths)
    raise denied or FileNotFoundError(names)


def _uv() -> str:
    """Return the uv that came with this package, or the one on PATH."""
    try:
        from uv import find_uv_bin  # noqa: PLC0415

        return str(find_uv_bin())
    except (ImportError, FileNotFoundError):
        return shutil.which("uv") or "uv"
