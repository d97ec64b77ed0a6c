"""A root file system of Debian packages, made of the files that this machine has of them: no index is asked.

dpkg's database of just these packages goes along, so apt works in it as it does here.
"""

from __future__ import annotations

import io
import os
import re
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

DPKG = Path("/var/lib/dpkg")
ALTERNATIVES = Path("/etc/alternatives")
MERGED = ("bin", "lib", "lib32", "lib64", "libx32", "sbin")  # links into /usr
LINKS = {"var/run": "/run", "var/lock": "/run/lock"}
FOLDERS = (
    *("dev", "etc", "home", "mnt", "proc", "root", "run", "run/lock", "sys"),
    *("var/cache/apt/archives/partial", "var/lib/apt/lists/partial", "var/log/apt"),
)
OPEN_FOLDERS = ("tmp", "var/tmp")
UNWANTED = re.compile(r"/usr/share/(?:doc|man|locale|info|lintian|bug|doc-base)(?:/|$)")
# Made below for the image; what else is here is this machine's own.
OWN = re.compile(
    r"/(?:proc|sys|dev|tmp|root|home|run|var/cache|var/lib/apt|var/tmp"
    r"|etc/(?:shadow|gshadow|passwd|group|hostname|resolv\.conf|hosts|machine-id|ssl/private))(?:/|$)"
)
# What scripts of packages have made here, and what lets apt and TLS reach where they reach from here.
BESIDE = (
    *(f"/etc/pam.d/common-{kind}" for kind in ("auth", "account", "password", "session")),
    *("/etc/pam.d/common-session-noninteractive", "/etc/shells"),
    *("/var/lib/dpkg/info/format", "/var/lib/dpkg/triggers/File", "/var/lib/dpkg/triggers/Unincorp"),
)
TREES = ("/etc/ssl/certs", "/usr/local/share/ca-certificates", "/etc/apt")
SECRETS = re.compile(r"/etc/apt/auth\.conf(?:\.d)?(?:/|$)")


@dataclass(frozen=True, slots=True)
class Package:
    """An installed package, as dpkg tells it."""

    paragraph: str
    fields: Mapping[str, str]

    @property
    def needs(self) -> list[list[str]]:
        """Return the alternatives of each dependency."""
        lines = filter(None, (self.fields.get(key, "") for key in ("Pre-Depends", "Depends")))
        return [_names(choice, "|") for line in lines for choice in line.split(",")]

    @property
    def provides(self) -> list[str]:
        return _names(self.fields.get("Provides", ""), ",")


def closure(names: Iterable[str]) -> dict[str, Package]:
    """Return packages with all that they need, beside the essential ones, by name.

    Raises:
        LookupError: one of the names is not installed here.
    """
    here = _installed()
    if absent := set(names) - set(here):
        raise LookupError(f"an image needs these packages: apt-get install {' '.join(sorted(absent))}")
    providers: dict[str, str] = {}
    for name, package in here.items():
        for provided in package.provides:
            providers.setdefault(provided, name)
    todo = [*names, *(name for name, package in here.items() if package.fields.get("Essential") == "yes")]
    found: dict[str, Package] = {}
    while todo:
        name = todo.pop()
        if name in found:
            continue
        found[name] = here[name]
        for choices in here[name].needs:
            installed = [choice for choice in choices if choice in here]
            todo += (installed or [providers[choice] for choice in choices if choice in providers])[:1]
    return dict(sorted(found.items()))


def texts(packages: Mapping[str, Package]) -> dict[str, str]:
    """Return the files that are written for an image, by their path without the first slash."""
    masters = Path("/usr/share/base-passwd")
    users = (masters / "passwd.master").read_text(encoding="utf-8").replace(":*:", ":x:")
    users += "_apt:x:42:65534::/nonexistent:/usr/sbin/nologin\n"
    shadow = [f"{user.partition(':')[0]}:*:19000:0:99999:7:::\n" for user in users.splitlines()]
    return {
        "etc/passwd": users,
        "etc/group": (masters / "group.master").read_text(encoding="utf-8").replace(":*:", ":x:"),
        "etc/shadow": "".join(shadow),
        "etc/nsswitch.conf": Path("/usr/share/libc-bin/nsswitch.conf").read_text(encoding="utf-8"),
        "etc/profile": Path("/usr/share/base-files/profile").read_text(encoding="utf-8"),
        "etc/environment": "",
        "usr/sbin/policy-rc.d": "#!/bin/sh\nexit 101\n",  # no package starts a daemon in an image
        "var/lib/dpkg/status": "".join(f"{package.paragraph}\n\n" for package in packages.values()),
        "var/lib/dpkg/available": "",
        "var/lib/dpkg/statoverride": "",
        "var/lib/dpkg/diversions": _diversions(packages),
    }


def files(packages: Mapping[str, Package]) -> list[str]:
    """Return the paths of this machine that go into an image, folders before what is in them."""
    found = {path for name, package in packages.items() for path in _listed(name, package)}
    found |= {path for path in BESIDE if os.path.isfile(path)}  # noqa: PTH113  # they are words here
    found |= {path for tree in TREES for path in _below(tree) if not SECRETS.match(path)}
    found |= _alternatives(found)
    return sorted(path for path in found if not OWN.match(path))


def archive(to: Path, paths: Sequence[str], written: Mapping[str, str]) -> None:
    """Write a root file system of paths and texts as a tar file."""
    with tarfile.open(to, "w", format=tarfile.GNU_FORMAT) as tar:
        for name in (*FOLDERS, *OPEN_FOLDERS):
            tar.addfile(folder(name, 0o1777 if name in OPEN_FOLDERS else 0o755))
        merged = {name: Path("/", name).readlink() for name in MERGED if Path("/", name).is_symlink()}
        for name, target in {**merged, **LINKS}.items():
            tar.addfile(link(name, str(target)))
        there = {*tar.getnames(), *written}  # dockerd takes no name twice
        for path in paths:
            if path.lstrip("/") not in there:
                tar.add(path, path.lstrip("/"), recursive=False)
        for name, text in written.items():
            add_text(tar, name, text)


def folder(name: str, mode: int = 0o755) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = tarfile.DIRTYPE, mode
    return entry


def link(name: str, target: str) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = tarfile.SYMTYPE, target
    return entry


def add_text(tar: tarfile.TarFile, name: str, text: str) -> None:
    """Add a file to an archive: a program if it says so in its first line, a secret if it is one."""
    entry = tarfile.TarInfo(name)
    entry.size = len(text.encode())
    entry.mode = 0o755 if text.startswith("#!") else 0o640 if name == "etc/shadow" else 0o644
    tar.addfile(entry, io.BytesIO(text.encode()))


def _installed() -> dict[str, Package]:
    found: dict[str, Package] = {}
    for paragraph in (DPKG / "status").read_text(encoding="utf-8").strip().split("\n\n"):
        lines = (line.partition(":") for line in paragraph.splitlines() if not line.startswith((" ", "\t")))
        fields = {key: value.strip() for key, _, value in lines}
        if fields["Status"].endswith(" installed"):
            found[fields["Package"]] = Package(paragraph, fields)
    return found


def _names(line: str, separator: str) -> list[str]:
    """Return the names of a list such as `a (>= 1) | b:any`."""
    words = (part.strip() for part in line.split(separator))
    return [re.split(r"[ (:]", word)[0] for word in words if word]


def _listed(name: str, package: Package) -> Iterator[str]:
    """Yield what dpkg has of a package, its own notes included."""
    info = DPKG / "info"
    for stem in (name, f"{name}:{package.fields.get('Architecture')}"):
        if not (info / f"{stem}.list").is_file():
            continue
        yield from (str(note) for note in info.glob(f"{stem}.*"))
        for line in (info / f"{stem}.list").read_text(encoding="utf-8").splitlines():
            if line != "/." and not UNWANTED.match(line):
                yield from _here(line)


def _here(listed: str) -> Iterator[str]:
    """Yield where a listed file is: they list /usr/bin/sh as /bin/sh. Bytecode goes with its source."""
    parent, name = os.path.split(listed)
    path = Path(os.path.realpath(parent), name)
    if not os.path.lexists(path):
        return
    yield str(path)
    if path.suffix == ".py":
        compiled = list((path.parent / "__pycache__").glob(f"{path.stem}.cpython-*.pyc"))
        yield from (str(file) for file in compiled)
        yield from {str(file.parent) for file in compiled}


def _below(tree: str) -> Iterator[str]:
    for parent, _, names in os.walk(tree):
        yield parent
        yield from (os.path.join(parent, name) for name in names)  # noqa: PTH118  # they are words here


def _alternatives(found: set[str]) -> set[str]:
    """Return the links of update-alternatives to files of an image, and its notes about them."""
    kept = {entry for entry in ALTERNATIVES.iterdir() if os.path.realpath(entry) in found}
    notes = {note for entry in kept if (note := DPKG / "alternatives" / entry.name).is_file()}
    commands = {
        entry
        for place in (Path("/usr/bin"), Path("/usr/sbin"))
        for entry in place.iterdir()
        if entry.is_symlink() and entry.readlink() in kept
    }
    return {str(path) for path in kept | notes | commands}


def _diversions(packages: Mapping[str, Package]) -> str:
    """Return the diversions of an image; dpkg writes three lines each: from, to, by which package."""
    lines = (DPKG / "diversions").read_text(encoding="utf-8").splitlines()
    triples = (lines[first : first + 3] for first in range(0, len(lines), 3))
    return "".join(f"{line}\n" for triple in triples if triple[-1] in packages for line in triple)
