"""Members of a multirun: which, in what order, and by how much work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.config.compose import Composer
from launcher.config.load import load_sweep

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

BASE = ["framework=python", "data=none", "source=src", "script=x.py"]


def told(words: list[str], place: Path) -> list[tuple[str, ...]]:
    return [member.overrides[len(BASE) :] for member in load_sweep([*BASE, *words], place)]


def test_the_first_sweep_varies_slowest(place: Path) -> None:
    assert told(["args.a=1,2", "args.c=0", "args.b=x,y"], place) == [
        ("args.a=1", "args.c=0", "args.b=x"),
        ("args.a=1", "args.c=0", "args.b=y"),
        ("args.a=2", "args.c=0", "args.b=x"),
        ("args.a=2", "args.c=0", "args.b=y"),
    ]


def test_ranges_choices_and_globs_are_counted_out(place: Path) -> None:
    assert told(["args.a=range(1,2,0.5)"], place) == [("args.a=1.0",), ("args.a=1.5",)]
    assert told(["args.a=choice(2.10,'b c')"], place) == [("args.a=2.10",), ("args.a=b\\ c",)]
    assert told(["experiment=glob(mnist_h*)"], place) == [("experiment=mnist_horovod",)]


def test_members_may_differ_in_everything(place: Path) -> None:
    members = load_sweep(
        [*BASE[1:], "framework=python,tensorflow", "distribution=mpi,horovod", "nodes=2"], place
    )
    kinds = [
        (each.spec.framework.name, each.spec.distribution.kind, each.spec.environment.kind)
        for each in members
    ]
    assert kinds == [
        ("python", "mpi", "current"),
        ("python", "horovod", "current"),
        ("tensorflow", "mpi", "packages"),
        ("tensorflow", "horovod", "packages"),
    ]


def test_members_share_the_moment(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter(range(100))
    monkeypatch.setattr(
        "hydra.core.utils.datetime", type("Clock", (), {"now": lambda: Moment(next(moments))})
    )
    members = load_sweep([*BASE, "args.a=1,2,3", "args.t=${now:%f}"], place)
    assert len({member.spec.args[-1] for member in members}) == 1


class Moment:
    """A moment that differs from the one before."""

    def __init__(self, number: int) -> None:
        self.number = number

    def strftime(self, pattern: str) -> str:
        return f"{pattern}{self.number}"


def test_members_know_their_number(place: Path) -> None:
    members = load_sweep([*BASE, "args.a=5,6", "args.n=${hydra:job.num}"], place)
    assert [member.spec.args for member in members] == [("-a", "5", "-n", "0"), ("-a", "6", "-n", "1")]


def test_groups_are_composed_once_for_each_set_of_choices(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    composed: list[str] = []

    def count(name: str) -> None:
        inner = getattr(Composer, name)

        def counted(*given: object) -> object:
            composed.append(name)
            return inner(*given)

        monkeypatch.setattr(Composer, name, counted)

    count("groups")
    count("compose_whole")
    members = load_sweep([*BASE, "args.a=range(50)", "nodes=1,2", "distribution=single,mpi"], place)
    assert len(members) == 200
    assert composed == ["groups"] * 3  # for what a file sweeps over, and for each distribution


def test_a_file_may_say_what_is_swept(place: Path) -> None:
    (place / "conf").mkdir()
    (place / "conf" / "config.yaml").write_text(
        "defaults:\n  - launcher\n  - _self_\n"
        "hydra:\n  sweeper:\n    params:\n      args.a: 1,2\n      args.b: 5\n"
    )
    words = ["--config-dir", "conf", *BASE, "args.c=x,y", "args.b=6"]
    members = load_sweep(words, place)
    assert [" ".join(member.spec.args) for member in members] == [
        "-a 1 -b 6 -c x",
        "-a 1 -b 6 -c y",
        "-a 2 -b 6 -c x",
        "-a 2 -b 6 -c y",
    ]
