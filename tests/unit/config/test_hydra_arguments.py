"""What `args_style=hydra` writes is what Hydra reads."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import OverrideType
from hypothesis import given, settings
from hypothesis import strategies as st

from launcher.config.hydra_arguments import OUTPUTS, words
from launcher.config.load import load
from launcher.errors import ConfigError, Problem

PARSER = OverridesParser.create()

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False)
    | TEXTS | st.sampled_from(["null", "True", "1e3", "a,b", "x'y", 'x"y', "\\", "a\\'", "${x}", "=", "[1]"])
)  # fmt: skip
NAMES = st.from_regex(r"[a-z_][a-z0-9_]{0,5}", fullmatch=True)
VALUES = st.recursive(
    LEAVES,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(NAMES, below, max_size=3),
    max_leaves=6,
)


def written(args: dict[str, Any]) -> list[str]:
    problems: list[Problem] = []
    found = words(args, problems)
    assert not problems
    return list(found)


def load_args(*given: str) -> tuple[str, ...]:
    fixed = ["script=mnist_tensorflow.py", "args_style=hydra"]
    return load([*fixed, *given]).spec.args


@given(VALUES.filter(lambda value: not isinstance(value, dict)))
@settings(max_examples=400, deadline=None)
def test_hydra_reads_back_every_value(value: Any) -> None:
    [_, word] = written({"key": value})
    override = PARSER.parse_override(word)
    assert override.value() == value
    assert type(override.value()) is type(value)
    assert not override.is_sweep_override()


def test_what_words_look_like() -> None:
    args = {
        "lr": 0.1,
        "model": "resnet",
        "optim": {"name": "adam", "betas": [0.9, 0.999]},
        "resume": None,
        "amp": True,
        "name": "first try, small",
        "version": "2.10",
        "+new": {"key": 1},
        "~gone": None,
        "empty": {},
    }
    assert written(args) == [
        OUTPUTS,
        "lr=0.1",
        "model=resnet",
        "optim.name=adam",
        "optim.betas=[0.9,0.999]",
        "resume=null",
        "amp=true",
        "name='first try, small'",
        "version='2.10'",
        "+new.key=1",
        "~gone",
        "empty={}",
    ]
    assert PARSER.parse_override("~gone").type is OverrideType.DEL
    assert math.isnan(PARSER.parse_override(written({"a": math.nan})[1]).value())  # pyright: ignore[reportArgumentType]


def test_the_folder_of_hydra_is_the_users_to_choose() -> None:
    assert written({"hydra": {"run": {"dir": "logs/mine"}}}) == ["hydra.run.dir=logs/mine"]
    assert written({"hydra.run.dir": None, "a": 1}) == ["a=1"]


def test_what_hydra_has_no_words_for_is_a_problem() -> None:
    problems: list[Problem] = []
    words({"a b": 1, "x": [{1: 2}], "y": object()}, problems)
    assert [problem.key for problem in problems] == ["args.a b", "args.x", "args.y"]


def test_a_launch_takes_the_style() -> None:
    assert load_args("args.lr=0.1", "args.optim.name=adam") == (OUTPUTS, "lr=0.1", "optim.name=adam")
    with pytest.raises(ConfigError, match=r"got 'hydr'; expected flags, equals, hydra\. Did you mean"):
        load_args("args_style=hydr")
