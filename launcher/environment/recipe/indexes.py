"""Where packages come from: pip's own configuration, told to uv.

A machine that is set up for pip (a mirror, a folder of wheels, a certificate) is set up for the
builder too. The values may hold credentials, so they go into the builder's environment only: not into
a command line, a key, a record or a log.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_TO_UV = {  # option of pip -> variable of uv (https://docs.astral.sh/uv/reference/environment/)
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "constraint": "UV_CONSTRAINT",
    "cert": "SSL_CERT_FILE",
    "trusted-host": "UV_INSECURE_HOST",
}
_OLDER = {"UV_DEFAULT_INDEX": "UV_INDEX_URL", "UV_INDEX": "UV_EXTRA_INDEX_URL"}
SYSTEM = Path("/etc/pip.conf")


def _files(environ: Mapping[str, str]) -> Iterator[Path]:
    """Yield pip's configuration files, the weakest first (pip's documentation, Configuration)."""
    if environ.get("PIP_CONFIG_FILE") == os.devnull:
        return
    home = Path(environ.get("HOME") or Path.home())
    yield from (
        Path(folder) / "pip/pip.conf" for folder in (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":")
    )
    yield SYSTEM
    yield home / ".pip/pip.conf"
    yield Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "pip/pip.conf"
    if "PIP_CONFIG_FILE" in environ:
        yield Path(environ["PIP_CONFIG_FILE"])


def _read(path: Path) -> dict[str, str]:
    import configparser  # noqa: PLC0415  # most machines have no such file

    parser = configparser.RawConfigParser()
    try:
        parser.read(path, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError, OSError):
        return {}  # pip itself reports a broken file; the variables still count here
    found: dict[str, str] = {}
    for section in ("global", "install"):
        if parser.has_section(section):
            found.update({name.replace("_", "-"): value for name, value in parser.items(section)})
    return found


def _pip_options(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what pip would take for `pip install`: files, then variables over them."""
    found: dict[str, str] = {}
    for path in _files(environ):
        if path.is_file():
            found.update(_read(path))
    for option in _TO_UV:
        value = environ.get("PIP_" + option.upper().replace("-", "_"))
        if value:
            found[option] = value
    return {option: value for option, value in found.items() if option in _TO_UV and value.strip()}


def _present(words: Iterable[str]) -> list[str]:
    """Drop folders that do not exist: pip passes over them, uv stops."""
    kept: list[str] = []
    for word in words:
        parts = urlsplit(word)
        if parts.scheme and parts.scheme != "file":
            kept.append(word)
            continue
        path = Path(unquote(parts.path) if parts.scheme else word).expanduser()
        if path.exists():
            kept.append(word if parts.scheme else str(path.absolute()))  # tools run in another folder
    return kept


def builder_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that make uv take packages from where pip would.

    What is set for uv itself stays as it is.
    """
    given: dict[str, str] = {}
    for option, value in _pip_options(environ).items():
        name = _TO_UV[option]
        if name in environ or _OLDER.get(name, name) in environ:
            continue
        words = value.split() if option == "trusted-host" else _present(value.split())
        if words:
            # uv takes several places of wheels between commas, everything else between blanks
            given[name] = ("," if name == "UV_FIND_LINKS" else " ").join(words)
    if "UV_INDEX" in given and "UV_INDEX_STRATEGY" not in environ:
        given["UV_INDEX_STRATEGY"] = "unsafe-best-match"  # pip takes the best version of all its indexes
    return given


_INDEXES = (
    "UV_INDEX",
    "UV_DEFAULT_INDEX",
    "UV_INDEX_URL",
    "UV_EXTRA_INDEX_URL",
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
)
_LENT = re.compile(r"UV_.*|SSL_CERT_(FILE|DIR)|(HTTP|HTTPS|ALL|NO)_PROXY|(http|https|all|no)_proxy")
_OWN = re.compile(r"UV_(CACHE_DIR|PYTHON.*|TARGET|SYSTEM_PYTHON|PROJECT|TOOL_.*|INSTALL.*)")


def lent_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that make uv take packages from there in a container, which inherits nothing."""
    set_here = {
        name: value for name, value in environ.items() if _LENT.fullmatch(name) and not _OWN.fullmatch(name)
    }
    return {**set_here, **builder_variables(environ)}


def pip_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that make pip itself take packages from there, where its files are not seen."""
    return {
        "PIP_" + option.upper().replace("-", "_"): value for option, value in _pip_options(environ).items()
    }


def local_places(variables: Mapping[str, str]) -> list[Path]:
    """Return the files and folders of this machine that such variables name.

    Of an index it is the folder above: its pages link to files beside it.
    """
    found: dict[Path, None] = {}
    for name, value in variables.items():
        for word in re.split(r"[\s,]+", value):
            path = Path(word.removeprefix("file://"))
            if path.is_absolute() and path.exists():
                found[path.parent if name in _INDEXES and path.parent != Path("/") else path] = None
    return list(found)


def has_own_places(environ: Mapping[str, str]) -> bool:
    """Tell whether packages come from anywhere but PyPI alone."""
    names = {"UV_DEFAULT_INDEX", "UV_INDEX", "UV_FIND_LINKS"} | set(_OLDER.values())
    return any(environ.get(name) for name in names) or not names.isdisjoint(builder_variables(environ))


def constraint_files(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the files that constrain every installation on this machine; they belong into the key."""
    given = environ.get("UV_CONSTRAINT") or builder_variables(environ).get("UV_CONSTRAINT", "")
    return tuple(path for word in given.split() if (path := Path(word)).is_file())
