"""Messages between agents: JSON lines over TCP, after both sides proved that they know the run's token.

The proof is an HMAC challenge in both directions, as in `multiprocessing.connection`; the messages are
JSON and never pickles.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import socket
from typing import Any

_LIMIT = 16 * 1024 * 1024  # bytes of one message; a plan of 1,000 processes has 2
_HELLO_LIMIT = 4096


class ChannelClosed(Exception):
    """The other side is gone, or is not who it should be."""


def _proof(token: str, side: str, nonce: str) -> str:
    return hmac.new(token.encode(), ("%s %s" % (side, nonce)).encode(), hashlib.sha256).hexdigest()


class Channel:
    """One connection; `receive` never blocks and yields what has arrived whole."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = sock
        self._in = b""
        self._out = b""
        self.limit = _HELLO_LIMIT

    def fileno(self) -> int:
        """Let a selector watch it."""
        return self.socket.fileno()

    @property
    def pending(self) -> bool:
        """Whether there is something left to send."""
        return bool(self._out)

    def send(self, message: dict[str, Any]) -> None:
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
        self._in += data
        *lines, self._in = self._in.split(b"\n")
        if len(self._in) > self.limit:
            raise ChannelClosed("a message longer than %d bytes" % self.limit)
        try:
            return [json.loads(line) for line in lines]
        except ValueError as error:
            raise ChannelClosed("not JSON") from error

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
        if not hmac.compare_digest(str(message.get("proof")), _proof(self._token, "peer", self._nonce)):
            raise ChannelClosed("wrong token")
        self.channel.limit = _LIMIT
        self.channel.send({"proof": _proof(self._token, "lead", str(message.get("nonce")))})
        return message


def connect(addresses: list[str], token: str, hello: dict[str, Any], timeout_s: float) -> Channel:
    """Connect to agent 0 at the first address that answers and knows the token.

    Args:
        addresses: `host:port`, the most likely first.
        token: the run's secret.
        hello: what this agent tells of itself.
        timeout_s: for each address.

    Raises:
        ChannelClosed: no address answered rightly.
    """
    problems: list[str] = []
    for address in addresses:
        host, _, port = address.rpartition(":")
        try:
            sock = socket.create_connection((host, int(port)), timeout=timeout_s)
        except OSError as error:
            problems.append("%s: %s" % (address, error))
            continue
        try:
            file = sock.makefile("rb", buffering=0)  # unbuffered: nothing of a later message may be swallowed
            challenge = json.loads(file.readline(_HELLO_LIMIT))
            nonce = os.urandom(32).hex()
            answer = dict(hello, proof=_proof(token, "peer", challenge["nonce"]), nonce=nonce)
            sock.sendall(json.dumps(answer).encode() + b"\n")
            if not hmac.compare_digest(json.loads(file.readline(_HELLO_LIMIT))["proof"], _proof(token, "lead", nonce)):
                raise ChannelClosed("wrong token")
        except (OSError, ValueError, KeyError, TypeError, ChannelClosed) as error:
            problems.append("%s: %s" % (address, error))
            sock.close()
            continue
        channel = Channel(sock)
        channel.limit = _LIMIT
        return channel
    raise ChannelClosed("; ".join(problems))
