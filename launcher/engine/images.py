"""Images in the engine: brought from their registries, found again by content."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from docker.errors import DockerException, ImageNotFound
from docker.utils import parse_repository_tag

from launcher.engine import long_calls
from launcher.engine.about import registries
from launcher.engine.client import connect, in_words
from launcher.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from launcher.spec import Progress

CONTENT = re.compile(r"(.+@)?sha256:[0-9a-f]{64}")
"""A name that stands for one content: nothing newer can be brought for it."""

_LAST = 5


@dataclass(frozen=True, slots=True)
class Login:
    """Who pulls and pushes at one registry, where Docker's own configuration does not say so."""

    address: str
    username: str
    password: str

    def __repr__(self) -> str:
        """Show no password, whoever prints it."""
        return f"Login({self.address!r}, {self.username!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image that is in the engine."""

    id: str
    reference: str
    """`name@sha256:…` where a registry has it, else the id."""


def find(client: Any, name: str) -> Image | None:
    """Return an image that is there.

    Raises:
        EngineError: the engine refused, or is gone.
    """
    with in_words(name):
        try:
            about: dict[str, Any] = client.inspect_image(name)
        except ImageNotFound:
            return None
    bare = repository(name)
    digests: list[str] = about.get("RepoDigests") or []
    mine = [
        digest for digest in digests if digest.partition("@")[0] in {bare, bare.rpartition("docker.io/")[2]}
    ]
    return Image(id=str(about["Id"]), reference=next(iter(mine or digests), str(about["Id"])))


def ensure(name: str, policy: str, login: Login | None, progress: Progress) -> Image:
    """Return an image, brought from its registry as the policy wants it: missing, always, or never.

    Raises:
        EngineError: it is not there and cannot be brought, in the registry's words.
    """
    client = connect()
    try:
        there = find(client, name)
        if there is not None and (policy != "always" or CONTENT.fullmatch(name)):
            return there
        if policy == "never":
            raise EngineError(f"{name}: this image is not in the engine, and compute.pull=never")
        if name.startswith("sha256:"):
            raise EngineError(f"{name}: this image is not in the engine, and an id is in no registry")
        pull(client, name, login, progress)
        there = find(client, name)
        if there is None:
            raise EngineError(f"{name}: the registry had it, and the engine does not")
        return there
    finally:
        client.close()


def pull(client: Any, name: str, login: Login | None, progress: Progress) -> None:
    """Bring an image from its registry.

    Raises:
        EngineError: in the registry's words.
    """
    where, tag = parse_repository_tag(name)
    progress.step(f"Pulling {name}")
    with in_words(f"{name} cannot be pulled", hint=_hint(login, where)):
        auth = _auth(login, where)
        stream = long_calls.stream(
            client,
            lambda: client.pull(where, tag or "latest", stream=True, decode=True, auth_config=auth),
        )
        _follow(stream, f"Pulling {name}", progress)


def push(client: Any, name: str, login: Login | None, progress: Progress) -> None:
    """Bring an image to its registry.

    Raises:
        EngineError: in the registry's words.
    """
    where, tag = parse_repository_tag(name)
    progress.step(f"Pushing {name}")
    with in_words(f"{name} cannot be pushed", hint=_hint(login, where)):
        auth = _auth(login, where)
        stream = long_calls.stream(
            client, lambda: client.push(where, tag, stream=True, decode=True, auth_config=auth)
        )
        _follow(stream, f"Pushing {name}", progress)


def _follow(stream: Iterable[Mapping[str, Any]], task: str, progress: Progress) -> None:
    """Tell the layers' bytes as progress.

    Raises:
        DockerException: the stream ends with an error, where other calls of the SDK raise one.
    """
    layers: dict[str, tuple[int, int]] = {}
    for item in stream:
        if "error" in item:
            raise DockerException(" ".join(str(item["error"]).split()))
        detail: Mapping[str, Any] = item.get("progressDetail") or {}
        if "id" in item and detail.get("total"):
            layers[str(item["id"])] = int(detail.get("current") or 0), int(detail["total"])
            done, total = (sum(pair[place] for pair in layers.values()) for place in (0, 1))
            progress.step(f"{task} {done >> 20} of {total >> 20} MiB", min(done / max(total, 1), 1.0))


def _auth(login: Login | None, where: str) -> dict[str, str] | None:
    """Return the login for a repository; None: what Docker's configuration and its helpers have."""
    if login is None or registry(where) != login.address:
        return None
    return {"username": login.username, "password": login.password}


def _hint(login: Login | None, where: str) -> Callable[[str], str]:
    """Return what adds to a registry's words what to do where it asks for a login, or refuses one."""
    asks = ("unauthorized", "authentication required", "no basic auth", "denied")

    def hinted(said: str) -> str:
        if not any(word in said.lower() for word in asks):
            return said
        if _auth(login, where) is not None:
            keys = "environment.registry.username and environment.registry.password"
            return f"{said}. The registry refused the login of {keys}"
        if registry(where) in registries():
            return (
                f"{said}. The registry refused the login that Docker's configuration has: docker login again"
            )
        return f"{said}. Log in with docker login, or give environment.registry"

    return hinted


def repository(name: str) -> str:
    """Return a name without its tag and digest."""
    bare = name.partition("@")[0]
    head, colon, tag = bare.rpartition(":")
    return head if colon and "/" not in tag else bare


def registry(name: str) -> str:
    """Return the registry of a name, `docker.io` where it tells none."""
    first, slash, _ = name.partition("/")
    return first if slash and (any(sign in first for sign in ".:") or first == "localhost") else "docker.io"
