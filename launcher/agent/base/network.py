"""This machine's network interfaces: where others may find it, and what MPI and Gloo are told."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
from typing import NamedTuple

# Of netdevice(7).
_GET_FLAGS, _GET_ADDRESS, _GET_MASK = 0x8913, 0x8915, 0x891B
_UP = 1

_LISTEN = "0A"
"""In the tables of proc(5), /proc/net/tcp."""


class Interface(NamedTuple):
    """An interface that is up and has an IPv4 address."""

    name: str
    address: str
    subnet: str
    """In CIDR form, as Open MPI takes it on hosts whose interfaces have different names."""


LOOPBACK = Interface("lo", "127.0.0.1", "127.0.0.0/8")


def interfaces() -> list[Interface]:
    """Return the interfaces of this machine but the loopback."""
    import ipaddress  # noqa: PLC0415  # 1.5 ms that a run on one node does not need

    found: list[Interface] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        for _, name in socket.if_nameindex():
            try:
                (flags,) = struct.unpack_from("H", _ask(asked, _GET_FLAGS, name), 16)
                address = socket.inet_ntoa(_ask(asked, _GET_ADDRESS, name)[20:24])
                mask = socket.inet_ntoa(_ask(asked, _GET_MASK, name)[20:24])
            except OSError:  # no IPv4 address
                continue
            if flags & _UP and not address.startswith("127."):
                subnet = ipaddress.ip_network("%s/%s" % (address, mask), strict=False)
                found.append(Interface(name, address, str(subnet)))
    return found


def interface_of(address: str) -> Interface:
    """Return the interface that has an address, the loopback where none has."""
    return next((one for one in interfaces() if one.address == address), LOOPBACK)


def fabric() -> list[str]:
    """Return this machine's InfiniBand and RoCE ports, as UCX names them."""
    top = "/sys/class/infiniband"
    try:
        return [
            "%s:%s" % (card, port)
            for card in os.listdir(top)
            for port in os.listdir("%s/%s/ports" % (top, card))
        ]
    except OSError:
        return []


def candidates(preferred: str | None) -> list[str]:
    """Return the addresses under which other nodes may find this one, the most likely first.

    Args:
        preferred: name of the one interface to use, None for any.

    Raises:
        OSError: there is no such interface, or no network at all.
    """
    there = interfaces()
    chosen = [one.address for one in there if preferred in {None, one.name}]
    if not chosen:
        names = ", ".join(one.name for one in there) or "none"
        raise OSError(
            "compute.interface=%s is not up on %s; it has %s" % (preferred, socket.gethostname(), names)
        )
    try:
        named = socket.gethostbyname(socket.gethostname())  # 127.0.1.1 on many a Debian
    except OSError:
        named = ""
    return sorted(chosen, key=lambda address: address != named)


def listens(port: int, process: str = "self") -> bool:
    """Return whether somebody accepts connections at a port, on whatever address.

    Args:
        port: its number.
        process: one in whose network to look.
    """
    for table in ("tcp", "tcp6"):
        try:
            with open("/proc/%s/net/%s" % (process, table)) as file:
                rows = [line.split() for line in file]
        except OSError:
            continue
        if any(row[3] == _LISTEN and int(row[1].rpartition(":")[2], 16) == port for row in rows[1:]):
            return True
    return False


def _ask(asked: socket.socket, what: int, name: str) -> bytes:
    return fcntl.ioctl(asked.fileno(), what, struct.pack("256s", name.encode()[:15]))
