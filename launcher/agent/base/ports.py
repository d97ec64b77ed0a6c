"""Ports of this machine, from a range."""

from __future__ import annotations

import random
import socket
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

PORTS = (20000, 32000)
"""Below the ports that Linux gives to outgoing connections (32768-60999), so that none takes one between
its choice and its use."""

FEW_PORTS = 16


def bind(address: str, ports: tuple[int, int]) -> socket.socket:
    """Return a socket bound to a free port of a range.

    Raises:
        OSError: none is free.
    """
    for _ in range(1000):
        sock = socket.socket()
        try:
            sock.bind((address, random.randrange(*ports)))  # noqa: S311  # spread, not secrecy
        except OSError:
            sock.close()
            continue
        return sock
    raise OSError("no free port between %d and %d" % ports)


def spread(ports: tuple[int, int], count: int) -> list[int]:
    """Return different ports of a range, by chance."""
    return random.sample(range(*ports), count)


def few_ports(ports: tuple[int, int]) -> str:
    """Return a few ports of a range, as `FIRST-LAST`: not all of them need be free."""
    first = random.randrange(ports[0], max(ports[0] + 1, ports[1] - FEW_PORTS))  # noqa: S311  # spread, not secrecy
    return "%d-%d" % (first, min(first + FEW_PORTS, ports[1]) - 1)


def read_ports(spec: Mapping[str, Any]) -> tuple[int, int]:
    """Return the range that a spec gives its ports from, as `FIRST-LAST`."""
    first, _, last = str(spec["compute"].get("ports") or "").partition("-")
    return (int(first), int(last) + 1) if last else PORTS
