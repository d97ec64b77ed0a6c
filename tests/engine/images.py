"""Images made of this machine's own files: no hub is asked."""

from __future__ import annotations

import os
import subprocess
import tarfile
import time
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docker.errors import ImageNotFound

from tests.engine import debian

if TYPE_CHECKING:
    from docker import DockerClient

BUSYBOX = Path("/bin/busybox")
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
WEEK_S = 7 * 24 * 3600
PYTHON = ("apt", "ca-certificates", "debian-archive-keyring", "libc-bin", "python3", "python3-pip")


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A recipe: Debian packages of this machine with all that they need; busybox if there are none."""

    repository: str
    tag: str = "1"
    packages: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.repository}:{self.tag}"


TINY = Image(repository="launcher-test/tiny")
"""A shell and its tools, 2 MB; no Python."""
BASE = Image(repository="launcher-test/base", packages=PYTHON)
"""Debian with its Python, pip and apt, which trust the authorities that this machine trusts."""
MPI = Image(repository="launcher-test/mpi", packages=(*PYTHON, "openmpi-bin"))
"""The same with Open MPI."""

# pip has a list of authorities of its own.
CHANGES = {
    True: ('CMD ["bash"]', f"ENV LANG=C.UTF-8 PIP_CERT={CERTIFICATES} SSL_CERT_FILE={CERTIFICATES}"),
    False: ('CMD ["sh"]', "ENV PATH=/bin"),
}


def load(client: DockerClient, image: Image, cache: Path) -> str:
    """Return the name of an image that the engine holds from now on."""
    try:
        client.images.get(image.name)
    except ImageNotFound:
        tar = _cached(image, cache)
        changes = list(CHANGES[bool(image.packages)])
        api: Any = client.api  # its types are not told in full
        api.import_image_from_file(str(tar), repository=image.repository, tag=image.tag, changes=changes)
        client.images.get(image.name)
    return image.name


def _cached(image: Image, cache: Path) -> Path:
    """Return the root file system of an image; those that nobody has asked for in a week are removed."""
    packages = debian.closure(image.packages) if image.packages else {}
    written = debian.texts(packages) if packages else {}
    key = _key(written)
    stem = image.repository.rpartition("/")[2]
    tar = cache / f"{stem}-{key}.tar"
    if tar.is_file():
        os.utime(tar)
    else:
        cache.mkdir(parents=True, exist_ok=True)
        draft = cache / f".{tar.name}.{os.getpid()}"
        if packages:
            debian.archive(draft, debian.files(packages), written)
        else:
            _archive_busybox(draft)
        draft.replace(tar)
        for old in cache.glob(f"{stem}-*.tar"):
            if old.stat().st_mtime < time.time() - WEEK_S:
                old.unlink(missing_ok=True)
    return tar


def _key(written: dict[str, str]) -> str:
    """Return what changes with the packages, this machine's settings that go along, and this code."""
    key = sha256()
    sources = [Path(__file__), Path(debian.__file__), BUSYBOX, Path(CERTIFICATES)]
    sources += sorted(path for path in Path("/etc/apt").rglob("*") if path.is_file())
    for source in sources:
        key.update(source.read_bytes())
    for text in written.values():
        key.update(text.encode())
    return key.hexdigest()[:16]


def _archive_busybox(to: Path) -> None:
    listed = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True)
    with tarfile.open(to, "w") as tar:
        for name in ("bin", "dev", "etc", "proc", "root", "run", "sys", "tmp"):
            tar.addfile(debian.folder(name, 0o1777 if name == "tmp" else 0o755))
        debian.add_text(tar, "etc/passwd", "root:x:0:0::/root:/bin/sh\n")
        tar.add(BUSYBOX, "bin/busybox")
        for applet in sorted({*listed.stdout.split()} - {"busybox"}):
            tar.addfile(debian.link(f"bin/{applet}", "busybox"))
