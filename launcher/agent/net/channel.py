"""Messages between agents: JSON lines over TCP, after both sides proved that they know the run's token.

The proof is an HMAC challenge in both directions, as in `multiprocessing.connection`; the messages are
JSON and never pickles.
"""

from __future__ import annotations

import errno
import hashlib
import hmac
import json
import os
import selectors
import socket
import time
from typing import TYPE_CHECKING, Any, cast

from ..base.network import interface_of

if TYPE_CHECKING:
    from collections.abc import Mapping

_LIMIT = 16 * 1024 * 1024  # bytes of one message; a plan of 1,000 processes has 2
_HELLO_LIMIT = 4096


BEAT_S = 5.0
"""Each side says at least this often that it lives."""

SILENT_S = 25.0
"""An agent that was not heard for so long is gone: its machine, or the network between."""

HANDSHAKE_S = 15.0
"""For what answers at an address to prove that it is agent 0."""

_AGAIN_S = 0.2

LEAD_SILENT_S = 120.0
"""The other agents wait longer for agent 0: with it the whole run would go."""

_BEAT = {"do": "beat", "event": "beat"}


class ChannelClosed(Exception):  # noqa: N818  # an event that both sides expect
    """The other side is gone, or is not who it should be."""


def _proof(token: str, side: str, nonce: str) -> str:
    return hmac.new(token.encode(), ("%s %s" % (side, nonce)).encode(), hashlib.sha256).hexdigest()


def _message(line: bytes) -> dict[str, Any]:
    try:
        message = json.loads(line)
    except (ValueError, RecursionError) as error:  # also what a stranger sends on purpose
        raise ChannelClosed("not JSON") from error
    if not isinstance(message, dict):
        raise ChannelClosed("not a message")
    return cast("dict[str, Any]", message)


class Channel:
    """One connection; `receive` never blocks and yields what has arrived whole."""

    def __init__(self, sock: socket.socket, silent_s: float = LEAD_SILENT_S) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = sock
        self._in = b""
        self._out = b""
        self._silent_s = silent_s
        self._heard = self._beaten = time.monotonic()
        self.limit = _HELLO_LIMIT

    def fileno(self) -> int:
        """Let a selector watch it."""
        return self.socket.fileno()

    @property
    def pending(self) -> bool:
        """Whether there is something left to send."""
        return bool(self._out)

    def tick(self) -> None:
        """Tell the other side now and then that this one lives.

        Raises:
            ChannelClosed: the other side has been silent for too long.
        """
        now = time.monotonic()
        if now - self._heard > self._silent_s:
            raise ChannelClosed("not heard for %d s" % self._silent_s)
        if now - self._beaten >= BEAT_S:
            self._beaten = now
            self.send(_BEAT)

    def send(self, message: Mapping[str, object]) -> None:
        """Send a message, later what does not fit now."""
        self._out += json.dumps(message).encode() + b"\n"
        self.flush()

    def flush(self) -> None:
        """Send what is left; a connection that is gone is noticed by `receive`."""
        while self._out:
            try:
                self._out = self._out[self.socket.send(self._out) :]
            except BlockingIOError:
                return
            except OSError:
                self._out = b""

    def receive(self) -> list[dict[str, Any]]:
        """Return the messages that have arrived.

        Raises:
            ChannelClosed: the other side is gone or talks nonsense.
        """
        try:
            data = self.socket.recv(1 << 16)
        except BlockingIOError:
            return []
        except OSError as error:
            raise ChannelClosed(str(error)) from error
        if not data:
            raise ChannelClosed("closed")
        self._heard = time.monotonic()
        self._in += data
        *lines, self._in = self._in.split(b"\n")
        if len(self._in) > self.limit:
            raise ChannelClosed("a message longer than %d bytes" % self.limit)
        return [_message(line) for line in lines]

    def close(self) -> None:
        """Close it."""
        self.socket.close()


class Doorkeeper:
    """Agent 0's side of the handshake; feed it messages until it returns the peer's hello."""

    def __init__(self, channel: Channel, token: str) -> None:
        self.channel = channel
        self._token = token
        self._nonce = os.urandom(32).hex()
        channel.send({"nonce": self._nonce})

    def admit(self, message: dict[str, Any]) -> dict[str, Any]:
        """Check the peer's proof, prove this side, return the hello.

        Raises:
            ChannelClosed: the proof is wrong.
        """
        proof = str(message.get("proof")).encode("utf-8", "replace")
        if not hmac.compare_digest(proof, _proof(self._token, "peer", self._nonce).encode()):
            raise ChannelClosed("wrong token")
        self.channel.limit = _LIMIT
        self.channel.send({"proof": _proof(self._token, "lead", str(message.get("nonce")))})
        return message


def connect(addresses: list[str], token: str, hello: Mapping[str, object], timeout_s: float) -> Channel:
    """Connect to agent 0 at the first address that answers and knows the token.

    All addresses are tried at once: a dead network answers nothing, not even a refusal.

    Args:
        addresses: `host:port`.
        token: the run's secret.
        hello: what this agent tells of itself; `lead` (the address that answered), `address` and
            `interface` (of this end) are added.
        timeout_s: for all of it.

    Raises:
        ChannelClosed: no address answered rightly.
    """
    until = time.monotonic() + timeout_s
    problems: dict[str, str] = {}
    while True:
        with selectors.DefaultSelector() as selector:
            for address in addresses:
                _knock(address, selector, problems)
            channel = _first(selector, token, hello, until, problems)
        if channel is not None:
            return channel
        if time.monotonic() + _AGAIN_S >= until:
            raise ChannelClosed("; ".join("%s: %s" % pair for pair in problems.items()))
        time.sleep(_AGAIN_S)  # refused everywhere: a listener may be on its way


def _first(
    selector: selectors.BaseSelector,
    token: str,
    hello: Mapping[str, object],
    until: float,
    problems: dict[str, str],
) -> Channel | None:
    """Return a channel by the first address that answers rightly; close the rest."""
    channel = None
    while channel is None and selector.get_map():
        ready = selector.select(max(0.0, until - time.monotonic()))
        if not ready:
            break
        for key, _ in ready:
            sock, address = cast("tuple[socket.socket, str]", key.data)
            if channel is not None:
                continue
            if key.events == selectors.EVENT_WRITE:  # connected or refused; agent 0 is the first to speak
                selector.modify(sock, selectors.EVENT_READ, key.data)
                continue
            selector.unregister(sock)
            try:
                channel = _enter(sock, token, hello, until)
            except (OSError, ValueError, KeyError, TypeError, ChannelClosed) as error:
                sock.close()
                problems[address] = str(error) or "silent"
    for key in list(selector.get_map().values()):
        sock, address = cast("tuple[socket.socket, str]", key.data)
        problems[address] = "no answer"
        sock.close()
    return channel


def _knock(address: str, selector: selectors.BaseSelector, problems: dict[str, str]) -> None:
    host, _, port = address.rpartition(":")
    sock = socket.socket()
    sock.setblocking(False)
    try:
        code = sock.connect_ex((host, int(port)))
        problem = "" if code in {0, errno.EINPROGRESS} else os.strerror(code)
    except (OSError, ValueError) as error:
        problem = str(error)
    if problem:
        problems[address] = problem
        sock.close()
    else:
        selector.register(sock, selectors.EVENT_WRITE, (sock, address))


def _enter(sock: socket.socket, token: str, hello: Mapping[str, object], until: float) -> Channel:
    """Prove both sides on a connection that is being made."""
    error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if error:
        raise OSError(error, os.strerror(error))
    until = min(until, time.monotonic() + HANDSHAKE_S)
    address = sock.getsockname()[0]
    interface = interface_of(address)
    hello = dict(
        hello, lead=sock.getpeername()[0], address=address, interface=[interface.name, interface.subnet]
    )
    nonce = os.urandom(32).hex()
    proof = _proof(token, "peer", _receive_line(sock, until)["nonce"])
    sock.sendall(json.dumps(dict(hello, proof=proof, nonce=nonce)).encode() + b"\n")
    if not hmac.compare_digest(_receive_line(sock, until)["proof"], _proof(token, "lead", nonce)):
        raise ChannelClosed("wrong token")
    channel = Channel(sock)
    channel.limit = _LIMIT
    return channel


def _receive_line(sock: socket.socket, until: float) -> dict[str, Any]:
    """Return one message of the handshake, read byte by byte: nothing of a later one may be swallowed."""
    line = b""
    while not line.endswith(b"\n") and len(line) < _HELLO_LIMIT:
        sock.settimeout(max(0.001, until - time.monotonic()))  # for the whole, not for each byte
        byte = sock.recv(1)
        if not byte:
            raise ChannelClosed("closed")
        line += byte
    return _message(line)
