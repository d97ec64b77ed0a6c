"""The other nodes of an attempt: their agents, and the channel to each."""

from __future__ import annotations

import os
import secrets
import selectors
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, cast

from ..base.processes import end_tree, send
from .channel import HANDSHAKE_S, SILENT_S, Channel, ChannelClosed, Doorkeeper

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..messages import Event, Message

    OnEvent = Callable[[int, Event], object]

STRANGERS = 128
"""Connections that have not proved yet that they know the token. More of them wait in the kernel: anybody who
reaches the port can open them, and descriptors are limited."""

ACCEPT_AGAIN_S = 0.5
"""Pause after a connection could not be accepted, such as when this process has no descriptor left."""

END_WITHIN_S = 10.0
"""How long another agent has for its end before it is killed with all that is below it."""


class Peers:
    """Agent 0's side of the channels; events of node `n` are reported as `on_event(n, event)`."""

    def __init__(
        self,
        selector: selectors.BaseSelector,
        on_event: OnEvent,
        listener: socket.socket,
        end_within_s: float = END_WITHIN_S,
    ) -> None:
        self._selector = selector
        self._on_event = on_event
        self._token = secrets.token_hex(32)
        self._channels: dict[int, Channel] = {}
        self._agents: dict[int, tuple[list[int], subprocess.Popen[bytes]]] = {}
        self._closing = False
        self._end_within_s = end_within_s
        self._kill_at = 0.0
        self._strangers: dict[Channel, float] = {}
        """Until when each has to prove itself."""
        self._listener = listener
        self._accept_at = 0.0
        listener.listen(256)
        listener.setblocking(False)
        self._listening = False
        self._listen()

    def start(self, nodes: list[int], argv: list[str], addresses: list[str], mark: str, log: str) -> None:
        """Start the agents of some nodes by one command.

        Args:
            nodes: their numbers.
            argv: what starts them, here or elsewhere.
            addresses: where they may find this agent.
            mark: of the one node, or what the marks of all begin with.
            log: path for what they complain of.
        """
        port = self._listener.getsockname()[1]
        env = dict(os.environ)
        env.pop("LAUNCHER_AGENT_NODE", None)
        env["LAUNCHER_AGENT_ADDRESSES"] = ",".join("%s:%d" % (address, port) for address in addresses)
        env["LAUNCHER_AGENT_TOKEN"] = self._token
        env["LAUNCHER_AGENT_MARK"] = mark
        if len(nodes) == 1:
            env["LAUNCHER_AGENT_NODE"] = str(nodes[0])
        with open(log, "ab") as out:
            popen = subprocess.Popen(
                argv,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._agents[popen.pid] = (nodes, popen)

    def send(self, node: int, message: Message) -> None:
        """Send a message to a node; one that is lost has been reported."""
        channel = self._channels.get(node)
        if channel is not None:
            channel.send(message)
            self._watch(node, channel)

    def reaped(self, pid: int, status: int) -> bool:
        """Take note of a dead agent; tell whether it was one of these."""
        nodes, popen = self._agents.pop(pid, (None, None))
        if nodes is None or popen is None:
            return False
        popen.returncode = status
        if not self._closing:
            for node in nodes:
                self._lose(node, "its agent ended")
        return True

    def close(self) -> None:
        """Let the other agents end; harmless when called again."""
        if self._closing:
            return
        self._closing = True
        self._kill_at = time.monotonic() + self._end_within_s
        self._stop_listening()
        self._listener.close()
        for channel in [*self._channels.values(), *self._strangers]:
            self._selector.unregister(channel)
            channel.close()
        self._channels = {}
        self._strangers = {}
        for pid, (_, popen) in self._agents.items():
            if popen.args[0] == sys.executable:  # srun would kill its step; it ends when its agents do  # type: ignore[index]
                send(pid, signal.SIGTERM)

    def tick(self) -> None:
        """Notice agents that have fallen silent; kill those that do not end, such as stopped ones.

        Drop connections that have not proved in time that they know the token.
        """
        now = time.monotonic()
        for channel, until in list(self._strangers.items()):
            if now >= until:
                self._drop(channel)
        if not self._closing:
            self._listen()
        for node, channel in list(self._channels.items()):
            try:
                channel.tick()
            except ChannelClosed as error:
                self._lose(node, str(error))
        if self._closing and now >= self._kill_at:
            for pid in self._agents:
                end_tree(pid)

    @property
    def gone(self) -> bool:
        """Whether every agent that was started here has ended."""
        return not self._agents

    def _listen(self) -> None:
        """Accept connections again, if there is room for one."""
        free = len(self._strangers) < STRANGERS and time.monotonic() >= self._accept_at
        if free and not self._listening:
            self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
            self._listening = True

    def _stop_listening(self) -> None:
        if self._listening:
            self._selector.unregister(self._listener)
            self._listening = False

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError:  # the connection stays in the queue, and would wake this loop again without a pause
            self._accept_at = time.monotonic() + ACCEPT_AGAIN_S
            self._stop_listening()
            return
        channel = Channel(sock, SILENT_S)
        self._strangers[channel] = time.monotonic() + HANDSHAKE_S
        door = Doorkeeper(channel, self._token)
        self._selector.register(channel, selectors.EVENT_READ, lambda: self._admit(door))
        if len(self._strangers) >= STRANGERS:
            self._stop_listening()

    def _drop(self, channel: Channel) -> None:
        del self._strangers[channel]
        self._selector.unregister(channel)
        channel.close()

    def _admit(self, door: Doorkeeper) -> None:
        channel = door.channel
        try:
            messages = channel.receive()
            if not messages:
                return
            hello = door.admit(messages[0])  # its sender waits for the answer before it says more
            node = int(hello["node"])
        except (ChannelClosed, KeyError, ValueError, TypeError):
            self._drop(channel)
            return
        del self._strangers[channel]
        self._channels[node] = channel
        self._selector.modify(channel, selectors.EVENT_READ, lambda: self._serve(node, channel))
        self._on_event(node, cast("Event", dict(hello, event="hello")))

    def _serve(self, node: int, channel: Channel) -> None:
        try:
            channel.flush()
            for message in channel.receive():
                self._on_event(node, cast("Event", message))
        except ChannelClosed as error:
            if self._channels.get(node) is channel:
                self._lose(node, str(error))
            return
        self._watch(node, channel)

    def _watch(self, node: int, channel: Channel) -> None:
        if self._channels.get(node) is channel:
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if channel.pending else 0)
            self._selector.modify(channel, events, lambda: self._serve(node, channel))

    def _lose(self, node: int, why: str) -> None:
        channel = self._channels.pop(node, None)
        if channel is not None:
            self._selector.unregister(channel)
            channel.close()
        self._on_event(node, {"event": "lost", "message": why})
