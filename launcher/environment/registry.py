"""A private registry of images, and who one is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.agent.base.secret_env import SECRET
from launcher.errors import Problem
from launcher.secrets import values

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.engine.images import Login


@dataclass(frozen=True, kw_only=True)
class Registry:
    """A login; without one, what `docker login` and its credential helpers know serves."""

    address: str | None = None
    """Such as `registry.example.org` or `localhost:5000`."""
    username: str | None = None
    password: str | None = None
    """As `${secret:NAME}`: it is in no record."""


def check_registry(options: Registry) -> Iterator[Problem]:
    """Return what is wrong with a login."""
    given = {name: getattr(options, name) for name in ("address", "username", "password")}
    if not any(given.values()):
        return
    for name, value in given.items():
        if not value:
            yield Problem(
                f"environment.registry.{name}", value, "a value, since others of the login are given"
            )
    if options.password and not SECRET.fullmatch(options.password):
        expected = "${secret:NAME}, so that it is in no record"
        yield Problem("environment.registry.password", "***", expected, "NAME is a variable of your shell")


def login_of(options: Registry) -> Login | None:
    """Return the login with its password, None where Docker's own configuration serves.

    Raises:
        ConfigError: the secret is nowhere.
    """
    found = SECRET.fullmatch(options.password or "")
    if found is None or options.address is None:
        return None
    from launcher.engine.images import Login  # noqa: PLC0415  # imports the SDK

    return Login(options.address, options.username or "", values([found[1]])[found[1]])
