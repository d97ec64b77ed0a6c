"""This machine's interfaces, against what the kernel says of them."""

from __future__ import annotations

import ipaddress
import socket
from pathlib import Path

import pytest

from launcher.agent.base import network
from launcher.agent.base.network import LOOPBACK, Interface, candidates, interface_of, interfaces

TWO = [Interface("eth0", "10.0.0.5", "10.0.0.0/24"), Interface("ib0", "10.1.0.5", "10.1.0.0/16")]


def test_interfaces_are_those_of_the_kernel() -> None:
    found = interfaces()
    assert {one.name for one in found} <= {path.name for path in Path("/sys/class/net").iterdir()} - {"lo"}
    for one in found:
        subnet = ipaddress.ip_network(one.subnet)
        assert ipaddress.ip_address(one.address) in subnet
        with socket.socket() as mine:
            mine.bind((one.address, 0))  # nobody may bind what is not there
        assert interface_of(one.address) == one


def test_an_address_of_no_interface_is_the_loopbacks() -> None:
    assert interface_of("127.0.0.1") == interface_of("192.0.2.1") == LOOPBACK


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "interfaces", lambda: TWO)


@pytest.mark.usefixtures("two")
@pytest.mark.parametrize(
    ("named", "order"),
    [("10.0.0.5", ["10.0.0.5", "10.1.0.5"]), ("10.1.0.5", ["10.1.0.5", "10.0.0.5"]),
     ("127.0.1.1", ["10.0.0.5", "10.1.0.5"])],
)  # fmt: skip
def test_the_address_that_the_hosts_name_has_comes_first(
    monkeypatch: pytest.MonkeyPatch, named: str, order: list[str]
) -> None:
    monkeypatch.setattr(socket, "gethostbyname", {socket.gethostname(): named}.get)
    assert candidates(None) == order
    assert candidates("ib0") == ["10.1.0.5"]


@pytest.mark.usefixtures("two")
def test_a_host_whose_name_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_: str) -> str:
        raise socket.gaierror

    monkeypatch.setattr(socket, "gethostbyname", unknown)
    assert candidates(None) == ["10.0.0.5", "10.1.0.5"]


@pytest.mark.usefixtures("two")
def test_an_interface_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(OSError, match=r"compute\.interface=ib1 is not up on .*; it has eth0, ib0"):
        candidates("ib1")


def test_no_network_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "interfaces", list)
    with pytest.raises(OSError, match="it has none"):
        candidates(None)
