"""Arrays of a sweep that keep to one limit together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from launcher.compute.lanes import Lanes

if TYPE_CHECKING:
    from random import Random


def order(lanes: int, sizes: list[int], before: tuple[str, ...] = ()) -> list[tuple[int, list[str]]]:
    """Return what is chosen for arrays whose jobs are a, b, …"""
    turns = Lanes(lanes, before)
    found: list[tuple[int, list[str]]] = []
    for index, size in enumerate(sizes):
        found.append(turns.choose(size))
        turns.take(size, chr(ord("a") + index))
    return found


def test_what_a_split_array_leaves_waits_for_the_first_part() -> None:
    assert order(2, [300, 20]) == [(2, []), (2, ["a"])]


def test_shapes_of_one_member_follow_each_other() -> None:
    assert order(1, [1, 1, 1]) == [(1, []), (1, ["a"]), (1, ["b"])]


def test_small_arrays_run_side_by_side() -> None:
    assert order(4, [1, 2, 1, 1]) == [(1, []), (2, []), (1, []), (1, ["a"])]


def test_an_array_takes_the_lanes_that_are_free_first() -> None:
    assert order(2, [1, 1, 1, 1]) == [(1, []), (1, []), (1, ["a"]), (1, ["b"])]
    assert order(3, [2, 9, 1]) == [(2, []), (3, ["a"]), (1, ["b"])]


def test_jobs_that_are_there_already_come_first() -> None:
    assert order(2, [1, 1], ("7", "8")) == [(1, ["7", "8"]), (1, ["7", "8"])]


def test_an_array_that_was_refused_takes_no_lane() -> None:
    turns = Lanes(1)
    turns.choose(5)
    assert turns.choose(3) == (1, [])


@given(lanes=st.integers(1, 6), sizes=st.lists(st.integers(1, 12), max_size=25), dice=st.randoms())
def test_never_more_at_once_than_there_are_lanes(lanes: int, sizes: list[int], dice: Random) -> None:
    """Slurm may begin whatever it is allowed to, and anything may end first."""
    chosen = order(lanes, sizes)
    left, running = dict(enumerate(sizes)), dict.fromkeys(range(len(sizes)), 0)
    while any(left.values()) or any(running.values()):
        over = {chr(ord("a") + index) for index in left if not left[index] and not running[index]}
        ready = [
            index
            for index, (parallel, jobs) in enumerate(chosen)
            if left[index] and running[index] < parallel and over.issuperset(jobs)
        ]
        busy = [index for index in running if running[index]]
        if ready and (not busy or dice.random() < 0.7):
            index = dice.choice(ready)
            left[index] -= 1
            running[index] += 1
        else:
            running[dice.choice(busy)] -= 1
        assert sum(running.values()) <= lanes
