"""Entry: `supervise` (orders on standard input) or `node` (address and token by environment)."""

from __future__ import annotations

import os
import sys
import time

from .channel import Channel, ChannelClosed, connect
from .guard import guarded
from .loop import Loop
from .node import Node, remove_tmp
from .supervisor import Supervisor, lost, read_orders


class _Agent:
    """The agent of a node other than the first: does what agent 0 says, and ends when it is gone."""

    def __init__(self) -> None:
        addresses = os.environ["LAUNCHER_AGENT_ADDRESSES"].split(",")
        token = os.environ.pop("LAUNCHER_AGENT_TOKEN")
        hello = {"node": int(os.environ["LAUNCHER_AGENT_NODE"]), "address": "127.0.0.1", "interface": "lo"}
        self._loop = Loop()
        self._channel: Channel = connect(addresses, token, hello, timeout_s=30)
        self._node = Node(os.environ["LAUNCHER_AGENT_MARK"], self._channel.send)
        self._open = True
        self._loop.selector.register(self._channel, 1, self._read)

    def work(self) -> int:
        """Serve until the channel closes."""
        try:
            while self._open and not self._loop.asked_to_end:
                now = time.monotonic()
                times = [now + 1.0]
                self._node.tick()
                times.append(self._node.deadline or times[0])
                self._channel.flush()
                self._channel.tick()
                self._loop.wait(min(times))
                self._loop.reap(self._node.reaped)
        except ChannelClosed as error:
            print("lost agent 0: %s" % error, file=sys.stderr)
        finally:
            self._node.close()
        return 0

    def _read(self) -> None:
        try:
            for message in self._channel.receive():
                self._node.handle(message)
        except ChannelClosed:
            self._open = False


def _node() -> int:
    try:
        return _Agent().work()
    except ChannelClosed as error:
        print("no way to agent 0: %s" % error, file=sys.stderr)
        return 1


def main() -> None:
    """Run what the command line names; never returns."""
    if sys.argv[1] == "supervise":
        orders = read_orders()
        if orders is None:
            sys.exit(1)
        guarded(lambda: Supervisor(orders).work(), lambda: lost(orders), with_parent=False)
    guarded(_node, lambda: remove_tmp(os.environ["LAUNCHER_AGENT_MARK"]), with_parent=True)
