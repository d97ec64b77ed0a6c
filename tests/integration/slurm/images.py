"""Images for containers, made of this machine's own files: no hub is asked."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sysconfig
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.integration.conftest import until

if TYPE_CHECKING:
    from collections.abc import Iterable

TINY, MPI = "localhost/launcher/tiny:1", "localhost/launcher/mpi:1"

# podman's defaults exceed what a machine may allow itself, and need systemd.
CONTAINERS_CONF = """\
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_backend = "netavark"
"""

STORAGE_CONF = """\
[storage]
driver = "overlay"
graphroot = "{boxes}/root"
runroot = "{boxes}/run"
[storage.options]
additionalimagestores = [{images}]
"""


@dataclass(frozen=True)
class Images:
    """A store of images that all nodes read; the boxes of each lie in its own /tmp."""

    folder: Path

    @property
    def env(self) -> dict[str, str]:
        """Return what podman finds them by."""
        return {
            "CONTAINERS_CONF": str(self.folder / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(self.folder / "storage.conf"),
        }

    @property
    def setup(self) -> str:
        """Return the same as a line of `compute.setup`."""
        return "export " + " ".join(f"{name}={value}" for name, value in self.env.items())


def make_images(folder: Path) -> Images:
    """Make both images below a folder."""
    folder.mkdir()
    made = Images(folder)
    images = folder / "images"
    (folder / "containers.conf").write_text(CONTAINERS_CONF)
    (folder / "storage.conf").write_text(STORAGE_CONF.format(boxes="/tmp/boxes", images=f'"{images}"'))
    build = folder / "build.conf"
    build.write_text(STORAGE_CONF.format(boxes=folder, images="").replace("/root", "/images"))
    env = {**os.environ, **made.env, "CONTAINERS_STORAGE_CONF": str(build)}
    for name, paths in ((TINY, []), (MPI, _with_libraries(_programs()))):
        _import(name, paths, env)
    return made


def _import(name: str, paths: Iterable[str], env: dict[str, str]) -> None:
    """Make an image of busybox and some files."""
    argv = ["unshare", "--mount", "podman", "import", "--quiet", "--change=ENV PATH=/usr/bin:/bin", "-", name]
    podman = subprocess.Popen(argv, env=env, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert podman.stdin is not None
    with podman.stdin, tarfile.open(fileobj=podman.stdin, mode="w|", dereference=True) as archive:
        for folder in ("tmp", "etc", "proc", "sys", "dev", "root", "run"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
            archive.addfile(entry)
        passwd = tarfile.TarInfo("etc/passwd")
        text = b"root:x:0:0::/root:/bin/sh\n"
        passwd.size = len(text)
        archive.addfile(passwd, io.BytesIO(text))
        archive.add("/bin/busybox", "bin/busybox")
        listed = subprocess.run(["/bin/busybox", "--list"], capture_output=True, text=True, check=True)
        for applet in {*listed.stdout.split()} - {"busybox"}:
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(link)
        for path in paths:
            archive.add(path, path.lstrip("/"), recursive=False)
    assert podman.wait() == 0


def _programs() -> list[str]:
    """Return Debian's Python and Open MPI."""
    library = Path("/usr/lib", sysconfig.get_config_var("MULTIARCH"))
    python = Path("/usr/bin/python3").resolve()
    found = ["/usr/bin/python3", *(f"/usr/bin/{name}" for name in ("mpirun", "orted"))]
    found += [str(path) for path in Path("/usr/lib", python.name).rglob("*") if "/test" not in str(path)]
    for part in (library / "openmpi", Path("/usr/share/openmpi"), Path("/etc/openmpi")):
        found += map(str, part.rglob("*"))
    found += map(str, library.glob("libmpi.so.*"))
    return [path for path in found if Path(path).is_file() and "__pycache__" not in path]


def _with_libraries(paths: list[str]) -> list[str]:
    programs = [path for path in paths if re.search(r"\.so[.\d]*$|^/usr/bin/", path)]
    told = subprocess.run(["ldd", *programs], capture_output=True, text=True, check=False).stdout
    return sorted({*paths, *re.findall(r"(/\S+) \(0x", told)})


def boxes(argv: list[str]) -> list[str]:
    """Return the names of the containers that a podman lists, in any state."""
    done = subprocess.run(
        [*argv, "podman", "ps", "--all", "--format={{.Names}}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def none_left(argv: list[str], limit_s: float = 90) -> None:
    """Wait until podman lists no container: on a busy machine each removal takes its time."""
    until(lambda: not boxes(argv), "no container left", limit_s)
