"""Secrets `${secret:NAME}`: where they may stand, and where their values come from.

A configuration, and all that is frozen or shown of it, has `@{secret.NAME}` in their place. A value is read
when a run is handed over, and passes from there to its processes in environments alone
(`launcher.agent.base.secret_env`). No message of this module holds one.

A credential that was typed into an address becomes a secret as well; its name follows from the host.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import fields, is_dataclass
from dataclasses import replace as changed
from fnmatch import fnmatchcase
from itertools import count
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast
from urllib.parse import quote

from launcher.agent.base.secret_env import CARRIER, SECRET
from launcher.credentials import NAME as CREDENTIAL
from launcher.credentials import hide, name_of, replace
from launcher.errors import ConfigError, Problem
from launcher.paths import secrets_file
from launcher.spec import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from launcher.spec import RunSpec

PLACES: Final = (
    "env.*",
    "environment.registry.password",
    "environment.pip_packages[[]*",
    "environment.conda_packages[[]*",
    "environment.channels[[]*",
    "data.inputs.*.uri",
)
"""The keys whose values may hold secrets, as patterns of fnmatch. Processes get those of `env`; whoever reads
another key asks `values` or `fill` for them."""

NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
LONGEST: Final = 65536
"""Bytes of a value in the file: Linux takes 128 KiB for a variable (execve(2))."""

_LINE: Final = re.compile(rb"([A-Za-z_][A-Za-z0-9_]*)=([^\0]{0,%d})" % LONGEST)


def symbol(name: str) -> str:
    """Return what a configuration has in place of a secret.

    Raises:
        ValueError: no secret can have that name.
    """
    if not NAME.fullmatch(name):
        raise ValueError(
            f"a secret is named with letters, digits and '_', not beginning with a digit; got {name!r}"
        )
    return f"@{{secret.{name}}}"


def named(texts: Iterable[str]) -> list[str]:
    """Return the names of the secrets that texts hold, each once."""
    return list(dict.fromkeys(name for text in texts for name in SECRET.findall(text)))


def typed(text: str) -> str:
    """Return a text as its writer typed it, without credentials."""
    return SECRET.sub(r"${secret:\1}", hide(text))


def conceal(text: str, form: str = "@{{secret.{}}}") -> str:
    """Return a text with a secret in place of each credential of its addresses.

    This process and the jobs that it hands over carry the values.

    Args:
        text: of a configuration or a file.
        form: how the text names a secret.
    """

    def carry(host: str, parameter: str, value: str) -> str:
        name = name_of(host, parameter)
        free = (name if number == 1 else f"{name}_{number}" for number in count(1))
        return form.format(next(one for one in free if os.environ.setdefault(CARRIER + one, value) == value))

    return replace(text, carry)


def conceal_all(value: Any) -> Any:
    """Return a configuration's mapping, list or option object with every text concealed; see `conceal`."""
    if isinstance(value, str):
        found = conceal(value)
        return value if found == value else found
    if isinstance(value, dict):
        return {key: conceal_all(below) for key, below in cast("dict[Any, Any]", value).items()}
    if isinstance(value, (list, tuple)):
        items = [conceal_all(below) for below in cast("Sequence[Any]", value)]
        return tuple(items) if isinstance(value, tuple) else items
    if is_dataclass(value) and not isinstance(value, type):
        named_fields = [field.name for field in fields(value)]
        return changed(value, **{name: conceal_all(getattr(value, name)) for name in named_fields})
    return value


def fill(text: str) -> str:
    """Return a text with the values of its secrets.

    Raises:
        ConfigError: one has none.
    """
    found = named([text])
    if not found:
        return text
    known = values(found)
    return SECRET.sub(lambda secret: known[secret[1]], text)


def misplaced(values: Mapping[str, Any], prefix: str = "") -> list[Problem]:
    """Return the problem of every secret that stands where it would reach a file or a command line.

    Args:
        values: of a configuration.
        prefix: of their keys, where these are part of a greater one.
    """
    expected = f"a value without a secret, which can only be given to a process by {prefix}env.NAME"
    return [
        Problem(f"{prefix}{key}", typed(text), expected)
        for key, text in _texts(values, "")
        if SECRET.search(text) and not any(fnmatchcase(key, place) for place in PLACES)
    ]


def wanted(spec: RunSpec) -> dict[str, str]:
    """Return the texts of a spec that hold secrets, by key."""
    parts = {
        key: plain(getattr(spec, key)) for key in dict.fromkeys(place.partition(".")[0] for place in PLACES)
    }
    return {key: text for key, text in _texts(parts, "") if SECRET.search(text)}


def _texts(value: Any, key: str) -> Iterator[tuple[str, str]]:
    """Yield the texts of a configuration with their keys."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, dict):
        for name, below in cast("dict[Any, Any]", value).items():
            yield from _texts(below, f"{key}.{name}" if key else str(name))
    elif isinstance(value, (list, tuple)):
        for index, below in enumerate(cast("Sequence[Any]", value)):
            yield from _texts(below, f"{key}[{index}]")


class Look(NamedTuple):
    """What a look at the places of secrets found."""

    values: Mapping[str, str]
    unknown: Mapping[str, str]
    """Of those without a value what is expected, in words."""
    file: Path | None
    """Where at least one of the values stands; None: all come from this shell."""

    def __repr__(self) -> str:
        return f"Look(unknown={self.unknown!r}, file={self.file!r})"


def look(names: Sequence[str]) -> Look:
    """Return the values of secrets: the variable of that name, else its line in the file.

    An empty one counts as none. The file is read only where a variable is missing. Credentials that were
    typed come first, then those of the netrc file.
    """
    both = {name: os.environ.get(CARRIER + name) or os.environ.get(name) for name in names}
    values = {name: value for name, value in both.items() if value}
    missing = [name for name in names if name not in values]
    if any(name.startswith(CREDENTIAL) for name in missing):
        logins = _netrc()
        values |= {name: logins[name] for name in missing if name in logins}
        missing = [name for name in missing if name not in values]
    if not missing:
        return Look(values, {}, None)
    file = secrets_file()
    try:
        lines, why = _read(file), "which has no such line"
    except (OSError, ValueError) as error:
        lines, why = {}, _why(error)
    found = {name: lines[name] for name in missing if lines.get(name)}
    unknown = {
        name: f"a value: the variable {name} of this shell, or a line {name}=… in {file}, {why}"
        for name in missing
        if name not in found
    }
    return Look({**values, **found}, unknown, file if found else None)


def values(names: Sequence[str]) -> Mapping[str, str]:
    """Return the values of secrets as they are now.

    Raises:
        ConfigError: one has none.
    """
    found = look(names)
    if found.unknown:
        raise ConfigError([Problem(f"${{secret:{name}}}", None, why) for name, why in found.unknown.items()])
    return found.values


def carriers(names: Sequence[str]) -> dict[str, str]:
    """Return the variables that carry secrets to agents.

    Raises:
        ConfigError: one has no value.
    """
    return {CARRIER + name: value for name, value in values(names).items()}


def _netrc() -> dict[str, str]:
    """Return the logins of the netrc file, each under the name of its host's credential."""
    from netrc import NetrcParseError, netrc  # noqa: PLC0415  # few launches need it

    try:
        hosts = netrc(os.environ.get("NETRC") or None).hosts
    except (OSError, NetrcParseError, UnicodeDecodeError):
        return {}
    return {
        name_of(host): f"{quote(login, safe='')}:{quote(password, safe='')}"
        for host, (login, _, password) in hosts.items()
    }


def _read(file: Path) -> dict[str, str]:
    """Return the lines `NAME=value` of the file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not as it has to be; the message has nothing of its content.
    """
    if not stat.S_ISREG(file.stat().st_mode):  # to open a pipe would wait for its writer
        raise ValueError("which is no file")
    with file.open("rb") as opened:
        mode = stat.S_IMODE(os.fstat(opened.fileno()).st_mode)
        if mode & 0o077:
            raise ValueError(f"which others may open (mode {mode:04o}). Try chmod 600 {file}")
        content = opened.read()
    lines: dict[str, str] = {}
    for number, line in enumerate(map(bytes.strip, content.splitlines()), start=1):
        if not line or line.startswith(b"#"):
            continue
        found = _LINE.fullmatch(line)
        if found is None:
            raise ValueError(f"whose line {number} is not NAME=value (of at most {LONGEST} bytes)")
        lines[os.fsdecode(found[1])] = os.fsdecode(found[2])
    return lines


def _why(error: OSError | ValueError) -> str:
    if isinstance(error, FileNotFoundError):
        return "which is not there"
    return f"which cannot be read: {error.strerror}" if isinstance(error, OSError) else str(error)
