"""The way to the engine: where it is, what it can, and its errors in words."""

from __future__ import annotations

import json
import os
import re
import socket
import struct
from contextlib import contextmanager, suppress
from http.client import HTTPException
from struct import error as StructError  # noqa: N812  # it is a class
from typing import TYPE_CHECKING, Any

from launcher.errors import EngineError
from launcher.facts import Engine

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

INSTALL = "pip install 'launcher[docker]'"

DEFAULT = "unix:///var/run/docker.sock"

_TIMEOUT_S = 60
_LOCAL = re.compile(r"(unix|npipe)://|(tcp|https?)://(localhost|127\.[\d.]+|\[?::1\]?)(:|/|$)")
_READ_TIMEOUT = re.compile(r"Read timed out\.(?: \(read timeout=([\d.]+)\))?")
"""The limit is missing where an answer stopped in the middle."""
_CUT = ("RemoteDisconnected", "ProtocolError", "IncompleteRead", "StreamParseError", "SocketError", "error")
"""Errors of several libraries for an answer that ends too soon; the last is of `struct`."""
_CLOSED = "the engine closed the connection: it was stopped, or it crashed"
_POOL = 32
"""Connections at once: one for each process that is started, and for streams."""


def connect(timeout_s: int = _TIMEOUT_S) -> Any:
    """Return a client of the SDK (`docker.APIClient`), by DOCKER_HOST, DOCKER_CONTEXT or the current context.

    Raises:
        EngineError: the SDK is missing, or no engine answers.
    """
    address = _address()
    from docker import APIClient  # noqa: PLC0415  # 0.15 s, and an extra of this package
    from docker.errors import DockerException  # noqa: PLC0415

    where = _where(os.environ)
    try:
        _knock(address)
        return APIClient(**where, version="auto", timeout=timeout_s, max_pool_size=_POOL)
    except (DockerException, OSError) as error:
        raise EngineError(f"{address}: {words(error)}") from error


def _knock(address: str) -> None:
    """See whether anybody listens: the SDK leaves a socket open where nobody does."""
    if address.startswith("unix://"):
        with socket.socket(socket.AF_UNIX) as asked:
            asked.connect(address.removeprefix("unix://"))


def reach(timeout_s: int = 10) -> Any:
    """Return a client of an engine that may be of this machine, soon; see `connect`.

    Raises:
        EngineError: there is none.
    """
    address = _address()
    there = elsewhere(address)
    if there:
        raise EngineError(f"{address}: {there}")
    return connect(timeout_s)


def _where(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return address and TLS of the engine, as the docker command finds them."""
    import docker.context  # noqa: PLC0415  # see `connect`
    from docker.errors import DockerException  # noqa: PLC0415
    from docker.utils import kwargs_from_env  # noqa: PLC0415

    try:
        found: dict[str, Any] = {**kwargs_from_env(dict(environ))}
        if "base_url" in found:
            return found
        name, contexts = environ.get("DOCKER_CONTEXT"), _untyped(docker.context.ContextAPI)
        if name and contexts.get_context(name) is None:  # the SDK would take the default in its place
            raise EngineError(f"DOCKER_CONTEXT={name}: there is no such context. See: docker context ls")
        return {**contexts.kwargs_from_context(environment=dict(environ)), **found}
    except (DockerException, OSError, ValueError) as error:
        raise EngineError(f"the engine's address cannot be read: {words(error)}") from error


def _untyped(value: Any) -> Any:
    """Return what the stubs of the SDK do not know in full."""
    return value


@contextmanager
def in_words(what: str = "", *, hint: Callable[[str], str] = str.strip) -> Generator[None]:
    """Raise what the engine, or the way to it, complains of as an `EngineError`.

    Args:
        what: stands before its words.
        hint: makes of its words what is told.
    """
    try:
        yield
    except failures() as error:
        said = hint(words(error))
        raise EngineError(f"{what}: {said}" if what else said) from error


def failures() -> tuple[type[Exception], ...]:
    """Return what calls to the engine raise; answers in pieces raise errors of the transport."""
    from docker.errors import DockerException, StreamParseError  # noqa: PLC0415  # see `connect`
    from docker.utils.socket import SocketError  # noqa: PLC0415
    from urllib3.exceptions import HTTPError  # noqa: PLC0415

    # requests' errors are OSErrors.
    return DockerException, StreamParseError, SocketError, HTTPError, HTTPException, OSError, StructError


def proxies() -> dict[str, str]:
    """Return the proxy variables of Docker's own configuration, which the docker command gives containers."""
    from docker.utils import config  # noqa: PLC0415  # see `connect`
    from docker.utils.proxy import ProxyConfig  # noqa: PLC0415

    known: Any = _untyped(config).load_general_config().get("proxies") or {}
    chosen: Any = known.get(_address()) or known.get("default") or {}
    return _untyped(ProxyConfig).from_dict(chosen).get_environment()


def words(error: BaseException) -> str:
    """Return what the engine, or the way to it, complained of, in one line."""
    said = getattr(error, "explanation", None)
    if isinstance(said, bytes):
        said = said.decode("utf-8", "replace")
    if said:
        return _one_line(str(said))
    causes = _causes(error)
    late = next((found for cause in causes if (found := _READ_TIMEOUT.search(str(cause)))), None)
    if late is not None:
        limit = f"for {float(late[1]):g} s" if late[1] else "to the end in time"
        return f"the engine did not answer {limit}"
    system = next((cause for cause in causes if isinstance(cause, OSError) and cause.strerror), None)
    if system is None and any(type(cause).__name__ in _CUT for cause in causes):
        return _CLOSED
    if system is None:
        return _one_line(str(error)) or type(error).__name__
    if isinstance(system, (ConnectionResetError, BrokenPipeError)):
        return _CLOSED
    hints: dict[type[OSError], str] = {
        PermissionError: ". Your user may not speak to it: see the group docker",
        FileNotFoundError: ". Is an engine running, and does DOCKER_HOST name it?",
        ConnectionRefusedError: ". The engine does not run",
    }
    return f"{system.strerror}{hints.get(type(system), '')}"


def _causes(error: BaseException) -> list[BaseException]:
    """Return an error with all that is in it and behind it, as requests and urllib3 pack them."""
    found: list[BaseException] = []
    queue = [error]
    while queue:
        each = queue.pop(0)
        if each not in found:
            found.append(each)
            inside = (each.__cause__, each.__context__, *each.args, getattr(each, "reason", None))
            queue += [part for part in inside if isinstance(part, BaseException)]
    return found


def _one_line(text: str) -> str:
    with suppress(ValueError, KeyError, TypeError):  # of a registry: JSON in a text
        text = json.loads(text)["message"]
    return " ".join(str(text).split())


def read_engine(known: Any = None) -> Engine:
    """Return what the engine tells of itself, or why there is none; `known`: a client of it."""
    try:
        address = _address()
        there = elsewhere(address)
        if there:
            return Engine(address=address, elsewhere=there)
        client = known or connect(timeout_s=10)
    except EngineError as error:
        return Engine(problem=str(error))
    try:
        info: dict[str, Any] = client.info()
    except Exception as error:  # noqa: BLE001  # requests, urllib3 and the SDK each have their own
        return Engine(problem=words(error))
    finally:
        if known is None:
            client.close()
    options = [str(option) for option in info.get("SecurityOptions") or ()]
    return Engine(
        address=address,
        version=str(info.get("ServerVersion")),
        cpus=int(info.get("NCPU") or 1),
        memory_mib=int(info.get("MemTotal") or 0) // 2**20,
        rootless=any("name=rootless" in option for option in options),
        remapped=any("name=userns" in option for option in options),
    )


def _address() -> str:
    """Return where the engine is, whether or not it answers there.

    Raises:
        EngineError: the SDK is missing, or its configuration cannot be read.
    """
    try:
        found = _where(os.environ)
    except ImportError as error:
        raise EngineError(f"the Docker SDK for Python is missing ({error}). Try: {INSTALL}") from error
    return str(found.get("base_url") or DEFAULT).removeprefix("http+")


def elsewhere(address: str) -> str:
    """Return why the engine of an address is surely not of this machine; nothing where it may be."""
    if not _LOCAL.match(address):
        return "it is on another machine, which does not see the store of this one"
    if not address.startswith("unix://"):
        return ""
    with socket.socket(socket.AF_UNIX) as asked:
        try:
            asked.connect(address.removeprefix("unix://"))
            raw = asked.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        except OSError:
            return ""
    pid, _, _ = struct.unpack("3i", raw)
    return "" if pid else "this process is in a container itself, and the engine sees other folders"
