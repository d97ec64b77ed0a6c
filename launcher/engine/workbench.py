"""Containers to build in: layers from a Dockerfile, then commands in a container that becomes an image."""

from __future__ import annotations

import io
import json
import os
import tarfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from docker.types import Mount

from launcher.engine import long_calls
from launcher.engine.boxes import KEEPER, remove
from launcher.engine.client import in_words, proxies
from launcher.engine.made import BUILD, build_mark, own_labels, own_name
from launcher.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
    from pathlib import Path

    Hear = Callable[[str], None]

_TMP = "/tmp"  # noqa: S108  # in the container, a file system of its own that is not committed
PLACE = f"{_TMP}/launcher"
"""Below it everything that is lent to a build is mounted."""


def build(client: Any, dockerfile: str, tag: str, hear: Hear) -> str:
    """Build layers from the text of a Dockerfile; return the id of the image.

    Its steps get the proxies of Docker's configuration, as in the docker command; no image keeps them.

    Args:
        client: of the engine.
        dockerfile: its text, of one stage. There is no context: nothing can be copied from this machine.
        tag: of the image.
        hear: gets every line.

    Raises:
        EngineError: a step failed; the lines tell why.
    """
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as archive:
        data = dockerfile.encode()
        entry = tarfile.TarInfo("Dockerfile")
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
    context.seek(0)
    found = ""
    with in_words():
        stream = long_calls.stream(
            client,
            lambda: client.build(
                fileobj=context, custom_context=True, tag=tag, decode=True, rm=True, forcerm=True,
                extra_hosts=build_mark(),
            ),
        )  # fmt: skip
        for item in stream:
            if "error" in item:
                raise EngineError(" ".join(str(item["error"]).split()))
            for line in _lines(str(item.get("stream") or item.get("status") or "")):
                hear(line)
            about: Mapping[str, Any] = item.get("aux") or {}
            found = str(about.get("ID") or found)
    if not found:
        raise EngineError("the engine ended the build and gave no reason")
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
        client = self._client
        rest = ""
        with in_words():
            given = {**proxies(), **env}
            made = client.exec_create(self._container, list(argv), environment=given, user=user, workdir=cwd)
            for chunk in long_calls.stream(client, lambda: client.exec_start(made["Id"], stream=True)):
                *whole, rest = (rest + chunk.decode("utf-8", "replace")).split("\n")
                for line in _lines("\n".join(whole)):
                    hear(line)
            for line in _lines(rest):
                hear(line)
            code = client.exec_inspect(made["Id"])["ExitCode"]
        if code is None:  # the stream ended before the command did
            raise EngineError("the engine closed the connection while the command ran")
        return int(code)

    def commit(self, tag: str, labels: Mapping[str, str], base: Mapping[str, Any]) -> None:
        """Make an image of what is there now.

        Args:
            tag: of it.
            labels: added to those of the base.
            base: configuration of the base image, whose entry point and command it gets back.

        Raises:
            EngineError: the engine refused, such as for a full disk.
        """
        text = [
            f"ENTRYPOINT {json.dumps(base.get('Entrypoint') or [])}",  # commit itself cannot empty it
            f"CMD {json.dumps(base.get('Cmd') or [])}",
            f"USER {base.get('User') or 'root'}",
            *(f"LABEL {name}={_quoted(value)}" for name, value in labels.items()),
            *(f'LABEL {name}=""' for name in (*own_labels(), BUILD)),  # those of this container
        ]
        client = self._client
        with in_words():
            made = long_calls.answer(client, lambda: client.commit(self._container))["Id"]
        build(self._client, "\n".join([f"FROM {made}", *text]) + "\n", tag, lambda _line: None)


def _quoted(value: str) -> str:
    """Return a value as a Dockerfile takes it, in which nothing is a variable."""
    return json.dumps(value).replace("$", "\\$")


@contextmanager
def workbench(
    client: Any, image: str, mounts: Sequence[tuple[str, str, bool]], folder: Path
) -> Generator[Workbench]:
    """Give a container of an image, as root, with a network.

    Args:
        client: of the engine.
        image: its id.
        mounts: source, target, and whether it is read-only.
        folder: for the pipe that it lives by.

    Raises:
        EngineError: the engine refused.
    """
    fifo = folder / f"alive-{uuid4().hex[:8]}"
    os.mkfifo(fifo, 0o600)
    held = os.open(fifo, os.O_RDWR | os.O_CLOEXEC)
    lent = [*mounts, (str(folder), f"{PLACE}/bench", False)]
    binds = [
        Mount(dst, src, type="bind" if src.startswith("/") else "volume", read_only=locked)
        for src, dst, locked in lent
    ]
    container = None
    try:
        with in_words():
            host = client.create_host_config(
                init=True,
                auto_remove=True,
                mounts=binds,
                tmpfs={_TMP: "exec"},
                security_opt=["label=disable"],
            )
            container = client.create_container(
                image, entrypoint=["sh"], command=["-c", KEEPER, f"{PLACE}/bench/{fifo.name}"], user="0:0",
                host_config=host, labels=own_labels(), name=own_name(),
                use_config_proxy=False,  # commands get them: what the container has, the image gets
            )["Id"]  # fmt: skip
            client.start(container)
        yield Workbench(client, container)
    finally:
        os.close(held)
        if container is not None:
            remove(client, container, None)
        for end in ("", ".up", ".stopped"):
            fifo.with_name(fifo.name + end).unlink(missing_ok=True)
