"""Containers to build in: layers from a Dockerfile, then commands in a container that becomes an image."""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.engine import boxes
from launcher.engine.client import words
from launcher.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence

    Hear = Callable[[str], None]

_TMP = "/tmp"  # noqa: S108  # in the container, a file system of its own that is not committed
PLACE = f"{_TMP}/launcher"
"""Below it everything that is lent to a build is mounted."""


def build(client: Any, dockerfile: str, tag: str, hear: Hear) -> str:
    """Build layers from the text of a Dockerfile; return the id of the image.

    Args:
        client: of the engine.
        dockerfile: its text. There is no context: nothing can be copied from this machine.
        tag: of the image.
        hear: gets every line.

    Raises:
        EngineError: a step failed; the lines tell why.
    """
    from docker.errors import DockerException  # noqa: PLC0415  # see `connect`
    from requests.exceptions import RequestException  # noqa: PLC0415

    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as archive:
        data = dockerfile.encode()
        entry = tarfile.TarInfo("Dockerfile")
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
    context.seek(0)
    found = ""
    try:
        stream = client.build(
            fileobj=context, custom_context=True, tag=tag, decode=True, rm=True, forcerm=True
        )
        for item in stream:
            if "error" in item:
                raise EngineError(" ".join(str(item["error"]).split()))
            for line in _lines(str(item.get("stream") or item.get("status") or "")):
                hear(line)
            about: Mapping[str, Any] = item.get("aux") or {}
            found = str(about.get("ID") or found)
    except (DockerException, RequestException, OSError) as error:
        raise EngineError(words(error)) from error
    return found


def _lines(text: str) -> Iterator[str]:
    """Yield the lines of a piece of output; of what a progress bar overwrites, the last state."""
    for line in text.split("\n"):
        said = line.rstrip("\r").rpartition("\r")[2].rstrip()
        if said:
            yield said


class Workbench:
    """A container that waits for commands, and ends with this process."""

    def __init__(self, client: Any, container: str) -> None:
        self._client = client
        self._container = container

    def run(self, argv: Sequence[str], env: Mapping[str, str], user: str, cwd: str | None, hear: Hear) -> int:
        """Run a command to its end; return its exit code.

        Raises:
            EngineError: the engine refused, or is gone.
        """
        from docker.errors import DockerException  # noqa: PLC0415  # see `connect`
        from requests.exceptions import RequestException  # noqa: PLC0415

        client = self._client
        rest = ""
        try:
            made = client.exec_create(
                self._container, list(argv), environment=dict(env), user=user, workdir=cwd
            )
            for chunk in client.exec_start(made["Id"], stream=True):
                *whole, rest = (rest + chunk.decode("utf-8", "replace")).split("\n")
                for line in _lines("\n".join(whole)):
                    hear(line)
            for line in _lines(rest):
                hear(line)
            return int(client.exec_inspect(made["Id"])["ExitCode"])
        except (DockerException, RequestException, OSError) as error:
            raise EngineError(words(error)) from error

    def commit(self, tag: str, labels: Mapping[str, str], base: Mapping[str, Any]) -> None:
        """Make an image of what is there now.

        Args:
            tag: of it.
            labels: added to those of the base.
            base: configuration of the base image, whose entry point and command it gets back.

        Raises:
            EngineError: the engine refused, such as for a full disk.
        """
        from docker.errors import DockerException  # noqa: PLC0415  # see `connect`
        from requests.exceptions import RequestException  # noqa: PLC0415

        text = [
            f"ENTRYPOINT {json.dumps(base.get('Entrypoint') or [])}",  # commit itself cannot empty it
            f"CMD {json.dumps(base.get('Cmd') or [])}",
            f"USER {base.get('User') or 'root'}",
            *(f"LABEL {name}={json.dumps(value)}" for name, value in labels.items()),
            *(f'LABEL {name}=""' for name in boxes.own_labels()),  # those of this container
        ]
        try:
            made = self._client.commit(self._container)["Id"]
        except (DockerException, RequestException, OSError) as error:
            raise EngineError(words(error)) from error
        build(self._client, "\n".join([f"FROM {made}", *text]) + "\n", tag, lambda _line: None)


@contextmanager
def workbench(client: Any, image: str, mounts: Sequence[tuple[str, str, bool]]) -> Generator[Workbench]:
    """Give a container of an image, as root, with a network.

    Args:
        client: of the engine.
        image: its id.
        mounts: source, target, and whether it is read-only.

    Raises:
        EngineError: the engine refused.
    """
    from docker.errors import DockerException  # noqa: PLC0415  # see `connect`
    from docker.types import Mount  # noqa: PLC0415
    from requests.exceptions import RequestException  # noqa: PLC0415

    folder = tempfile.mkdtemp(prefix="launcher-build-")
    fifo = Path(folder, "alive")
    os.mkfifo(fifo, 0o600)
    held = os.open(fifo, os.O_RDWR | os.O_CLOEXEC)
    lent = [*mounts, (folder, f"{PLACE}/bench", False)]
    binds = [
        Mount(dst, src, type="bind" if src.startswith("/") else "volume", read_only=locked)
        for src, dst, locked in lent
    ]
    container = None
    try:
        host = client.create_host_config(
            init=True,
            auto_remove=True,
            mounts=binds,
            tmpfs={_TMP: "exec"},
            security_opt=["label=disable"],
        )
        made = client.create_container(
            image, entrypoint=["sh"], command=["-c", boxes.KEEPER, f"{PLACE}/bench/alive"], user="0:0",
            host_config=host, labels=boxes.own_labels(), name=boxes.own_name(),
        )  # fmt: skip
        container = made["Id"]
        client.start(container)
        yield Workbench(client, container)
    except (DockerException, RequestException, OSError) as error:
        raise EngineError(words(error)) from error
    finally:
        os.close(held)
        if container is not None:
            boxes.remove(client, container, None)
        shutil.rmtree(folder, ignore_errors=True)
