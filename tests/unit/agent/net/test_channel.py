"""Messages pass between two that know the token, and only between them."""

from __future__ import annotations

import json
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from launcher.agent.net.channel import SILENT_S, Channel, ChannelClosed, Doorkeeper, connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HELLO = {"node": 1, "address": "127.0.0.1"}


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


def address(listener: socket.socket) -> str:
    return f"127.0.0.1:{listener.getsockname()[1]}"


def receive(channel: Channel, count: int = 1) -> list[dict[str, Any]]:
    """Wait for so many messages."""
    found: list[dict[str, Any]] = []
    deadline = time.monotonic() + 20
    while len(found) < count:
        assert time.monotonic() < deadline
        found += channel.receive()
        channel.flush()
    return found


def serve(listener: socket.socket, token: str, result: list[Any], silent_s: float = SILENT_S) -> None:
    """Let one in, or note why not."""
    sock, _ = listener.accept()
    channel = Channel(sock, silent_s)
    try:
        door = Doorkeeper(channel, token)
        result += [channel, door.admit(receive(channel)[0])]
    except ChannelClosed as error:
        result.append(error)
        channel.close()


def in_thread(work: Callable[..., object], *values: object) -> threading.Thread:
    thread = threading.Thread(target=work, args=values, daemon=True)
    thread.start()
    return thread


def pair(listener: socket.socket, silent_s: float = SILENT_S) -> tuple[Channel, Channel]:
    """Return both ends of an admitted connection."""
    result: list[Any] = []
    thread = in_thread(serve, listener, "token", result, silent_s)
    far = connect([address(listener)], "token", HELLO, timeout_s=20)
    thread.join()
    assert result[1]["node"] == 1
    return result[0], far


def test_messages_pass_in_both_directions(listener: socket.socket) -> None:
    near, far = pair(listener)
    near.send({"do": "end", "grace": 3})
    near.send({"text": "ä\n\ud800"})
    assert receive(far, 2) == [{"do": "end", "grace": 3}, {"text": "ä\n\ud800"}]
    far.send({"event": "exited"})
    assert receive(near) == [{"event": "exited"}]
    assert near.receive() == []
    near.close()
    with pytest.raises(ChannelClosed, match="closed"):
        receive(far)
    far.close()


def test_a_message_larger_than_the_socket_takes_arrives_whole(listener: socket.socket) -> None:
    near, far = pair(listener)
    near.send({"text": "x" * 8_000_000})
    assert near.pending
    thread = in_thread(lambda: [near.flush() or time.sleep(0.001) for _ in iter(lambda: near.pending, False)])
    assert len(receive(far)[0]["text"]) == 8_000_000
    thread.join()
    near.close()
    far.close()


def test_who_does_not_know_the_token_is_refused(listener: socket.socket) -> None:
    result: list[Any] = []
    thread = in_thread(serve, listener, "token", result)
    with pytest.raises(ChannelClosed):
        connect([address(listener)], "wrong", HELLO, timeout_s=2)
    thread.join()
    assert str(result[0]) == "wrong token"


def test_who_only_claims_to_be_agent_0_is_left(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "launcher.agent.net.channel._AGAIN_S", 20
    )  # it is told of the first try, the only one

    def impostor() -> None:
        sock, _ = listener.accept()
        with sock:
            sock.sendall(b'{"nonce": "x"}\n')
            sock.recv(4096)
            sock.sendall(b'{"proof": "made up"}\n')
            sock.recv(1)

    thread = in_thread(impostor)
    with pytest.raises(ChannelClosed, match="wrong token"):
        connect([address(listener)], "token", HELLO, timeout_s=20)
    thread.join()


@pytest.mark.parametrize(
    "answer", [b"garbage\n", b"[1]\n", b'{"other": 1}\n', b'{"nonce"', b"", b"x" * 9000, b"[" * 4095 + b"\n"]
)
def test_garbage_instead_of_a_challenge(listener: socket.socket, answer: bytes) -> None:
    def other() -> None:
        sock, _ = listener.accept()
        with sock:
            sock.sendall(answer)

    thread = in_thread(other)
    with pytest.raises(ChannelClosed):
        connect([address(listener)], "token", HELLO, timeout_s=0.5)
    thread.join()


def test_a_peer_that_says_nothing_or_dribbles_is_given_up_in_time(listener: socket.socket) -> None:
    stop = threading.Event()

    def dribble() -> None:
        sock, _ = listener.accept()
        with sock:
            while not stop.wait(0.05):
                try:
                    sock.sendall(b" ")
                except OSError:
                    return

    thread = in_thread(dribble)
    began = time.monotonic()
    with pytest.raises(ChannelClosed):
        connect([address(listener)], "token", HELLO, timeout_s=0.5)
    assert time.monotonic() - began < 10
    stop.set()
    thread.join()


def test_the_first_address_that_answers_rightly_is_taken(listener: socket.socket) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        dead = address(closed)
    result: list[Any] = []
    thread = in_thread(serve, listener, "token", result)
    far = connect(
        [dead, "no.such.host.invalid:1", "127.0.0.1:x", address(listener)], "token", HELLO, timeout_s=20
    )
    thread.join()
    far.close()
    result[0].close()
    with pytest.raises(ChannelClosed, match=dead):
        connect([dead], "token", HELLO, timeout_s=1)


@pytest.mark.parametrize(
    "data", [b"\xff\n", b"[1]\n", b'"text"\n', b"[" * 50_000 + b"\n", b"{" + b" " * 5000]
)
def test_what_is_no_message_closes_the_channel(listener: socket.socket, data: bytes) -> None:
    with socket.create_connection(listener.getsockname()) as far:
        sock, _ = listener.accept()
        channel = Channel(sock)
        far.sendall(data)
        with pytest.raises(ChannelClosed):
            receive(channel, 10)
        channel.close()


def test_a_stranger_with_an_odd_proof_is_refused(listener: socket.socket) -> None:
    proofs: list[Any] = [None, 1, "ä", "\ud800", [], {}]
    for proof in proofs:
        result: list[Any] = []
        thread = in_thread(serve, listener, "token", result)
        with socket.create_connection(listener.getsockname()) as sock:
            sock.sendall(json.dumps({"proof": proof}).encode() + b"\n")
            thread.join()
        assert str(result[0]) == "wrong token"


def test_each_side_says_that_it_lives(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    near, far = pair(listener)
    near.tick()  # too early for a beat
    monkeypatch.setattr("launcher.agent.net.channel.BEAT_S", 0.0)
    near.tick()
    assert receive(far) == [{"do": "beat", "event": "beat"}]
    near.close()
    far.close()


def test_a_side_that_was_silent_for_too_long_is_gone(listener: socket.socket) -> None:
    near, far = pair(listener, silent_s=0.5)
    far.send({"event": "beat"})
    assert receive(near)
    near.tick()
    time.sleep(0.6)  # of silence
    with pytest.raises(ChannelClosed, match="not heard"):
        near.tick()
    far.tick()  # agent 0 is given longer
    near.close()
    far.close()


def test_the_right_address_wins_at_once_over_dead_ones(listener: socket.socket) -> None:
    result: list[Any] = []
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,  # connects, by its backlog, and says nothing
        socket.create_server(("127.0.0.1", 0), backlog=0) as full,  # answers nothing at all
        socket.create_server(("127.0.0.1", 0)) as closed,
        socket.create_connection(full.getsockname()),
    ):
        refused = address(closed)
        closed.close()
        thread = in_thread(serve, listener, "token", result)
        began = time.monotonic()
        far = connect([address(silent), address(full), refused, address(listener)], "token", HELLO, 20)
        assert time.monotonic() - began < 5
        thread.join()
        hello = result[1]
        assert (hello["lead"], hello["address"], hello["interface"]) == (
            "127.0.0.1",
            "127.0.0.1",
            ["lo", "127.0.0.0/8"],
        )
        far.close()
        result[0].close()
        dead = address(silent)
        with pytest.raises(ChannelClosed) as error:
            connect([dead, address(full), refused], "token", HELLO, timeout_s=0.3)
    said = str(error.value)
    assert f"{dead}: no answer" in said
    assert "Connection refused" in said


def test_who_begins_to_listen_later_is_found(listener: socket.socket) -> None:
    where = address(listener)
    listener.close()
    result: list[Any] = []

    def late() -> None:
        time.sleep(0.3)
        with socket.create_server(("127.0.0.1", int(where.rpartition(":")[2]))) as made:
            serve(made, "token", result)

    thread = in_thread(late)
    far = connect([where], "token", HELLO, timeout_s=20)
    thread.join()
    far.close()
    result[0].close()
