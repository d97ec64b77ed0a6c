"""A configuration comes back from JSON as it was, types and all."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple, Union  # noqa: UP035  # what apps write

import pytest
from omegaconf import DictConfig, OmegaConf, ValidationError

from launcher.apps.frozen import freeze, thaw
from launcher.errors import ConfigError


class Colour(Enum):
    RED = 1
    BLUE = 2


@dataclass
class Optimizer:
    lr: float = 0.1
    path: Path = Path("a/b")
    raw: bytes = b"\xff"


@dataclass
class App:
    missing: int = "${oc.env:NOT_THERE}"  # type: ignore[assignment]
    absent: Optional[int] = None  # noqa: UP045
    numbers: List[int] = field(default_factory=lambda: [1, 2])  # noqa: UP006
    pair: Tuple[int, int] = (1, 2)  # noqa: UP006
    table: Dict[str, Optimizer] = field(default_factory=lambda: {"k": Optimizer()})  # noqa: UP006
    nested: dict[str, list[int]] = field(default_factory=lambda: {"a": [1]})
    either: Union[int, str] = 3  # noqa: UP007
    neither: int | str | None = None
    colour: Colour = Colour.RED
    by_colour: Dict[Colour, int] = field(default_factory=lambda: {Colour.BLUE: 1})  # noqa: UP006
    optimizer: Optimizer = field(default_factory=Optimizer)
    no_optimizer: Optional[Optimizer] = None  # noqa: UP045
    anything: Any = 1.5


def again(config: DictConfig) -> DictConfig:
    return thaw(json.loads(json.dumps(freeze(config))))


def items(value: Any) -> list[tuple[Any, Any]]:
    match value:
        case {**mapping}:
            return list(mapping.items())
        case [*elements]:
            return list(enumerate(elements))
        case _:
            return []


def same(left: Any, right: Any, where: str = "") -> None:
    """Assert that two nodes are the same in everything that OmegaConf knows of them."""
    assert {type(left), *vars(left)} == {type(right), *vars(right)}, where
    assert vars(left._metadata) == vars(right._metadata), where
    ours, theirs = items(left._value()), items(right._value())
    assert [key for key, _ in ours] == [key for key, _ in theirs], where
    for (key, below), (_, other) in zip(ours, theirs, strict=True):
        same(below, other, f"{where}.{key}")


@pytest.fixture
def config() -> DictConfig:
    made = OmegaConf.create(
        {"app": OmegaConf.structured(App), "plain": [1, {"later": "???"}], "inf": float("inf")}
    )
    OmegaConf.set_struct(made, value=True)
    OmegaConf.set_readonly(made.app.optimizer, value=True)
    return made


def test_everything_comes_back(config: DictConfig) -> None:
    back = again(config)
    same(back, config)
    assert back == config
    assert deepcopy(back) == back
    config.app.missing = back.app.missing = 1
    assert OmegaConf.to_object(back.app) == OmegaConf.to_object(config.app)
    assert isinstance(OmegaConf.to_object(back.app), App)


def test_types_still_count(config: DictConfig) -> None:
    back = again(config)
    with pytest.raises(ValidationError):
        back.app.numbers.append("three")
    with pytest.raises(ValidationError):
        back.app.colour = "GREEN"
    back.app.colour = "BLUE"
    assert back.app.colour is Colour.BLUE


def test_what_a_resolver_gave_once_stays() -> None:
    asked: list[str] = []

    def once(word: str) -> str:
        asked.append(word)
        return word

    OmegaConf.register_new_resolver("once", once, use_cache=True, replace=True)
    config = OmegaConf.create({"value": "${once:a}"})
    assert config.value == again(config).value == "a"
    assert asked == ["a"]


def test_what_no_other_process_finds_is_a_problem() -> None:
    @dataclass
    class Local:
        lr: float = 0.1

    with pytest.raises(ConfigError, match="a class of a module, which another process finds"):
        freeze(OmegaConf.create({"app": OmegaConf.structured(Local)}))
    config = OmegaConf.create({"key": {"a": object()}}, flags={"allow_objects": True})
    with pytest.raises(ConfigError, match=r"key\.a: got .*; expected a value that a file can hold"):
        freeze(config)
