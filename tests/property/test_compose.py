"""The short way through Hydra gives what Hydra's own way gives, for any overrides."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from hydra import compose, initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from omegaconf import AnyNode, DictConfig, OmegaConf

from launcher.config.compose import Composer, NeedsHydraError, installed_conf
from launcher.config.explain import ERRORS
from launcher.config.load import load_sweep
from launcher.config.omegaconf_nodes import children, node_value, set_text
from launcher.config.sweep import Members, expand
from launcher.config.text import is_whole, restore_overrides
from launcher.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

SLOW = settings(
    max_examples=int(os.environ.get("EXAMPLES", "30")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)

GROUPS = {
    "compute": ["local"],
    "framework": ["python", "sklearn", "tensorflow", "pytorch"],
    "distribution": ["single", "mpi", "horovod", "parameter_server", "multi_worker", "torch"],
    "environment": ["current", "packages"],
    "data": ["none", "digits", "mnist"],
    "experiment": ["mnist_horovod", "mnist_parameter_server", "null"],
}
WORDS = st.text("abcxyz019_", min_size=1, max_size=4)
VALUES = st.one_of(
    st.integers(-3, 10**6).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(str),
    st.sampled_from(
        ["", "null", "true", "False", "1e-3", "2.10", "007", "0x10", "'a,b'", '"it\'s"', "a b", "[1,2.0,x]"]
    ),
    st.sampled_from(["{a:1,b:2.50}", "[]", "{}", "${nodes}", "${oc.env:NOPE,7}", "${data:}", "a/b.c", "inf"]),
    WORDS,
)
KEYS = st.one_of(
    st.sampled_from(
        [
            "nodes",
            "name",
            "tags",
            "tags.a",
            "env.X",
            "args",
            "args.x",
            "args.learning-rate",
            "args.a.b",
            "command",
        ]
    ),
    st.sampled_from(
        ["retries", "wait", "memory_gib", "framework.version", "data.inputs.mine.uri", "compute.max_parallel"]
    ),
    st.sampled_from(["distribution.worker_count", "environment.pip_packages", "zork", "args", "description"]),
    WORDS.map("args.{}".format),
)
SIGNS = st.sampled_from(["", "", "", "+", "++", "~"])


@st.composite
def values(draw: st.DrawFn) -> str:
    sign, key, value = draw(SIGNS), draw(KEYS), draw(VALUES)
    return f"{sign}{key}" if sign == "~" and draw(st.booleans()) else f"{sign}{key}={value}"


@st.composite
def choices(draw: st.DrawFn) -> str:
    group = draw(st.sampled_from(sorted(GROUPS)))
    sign = draw(st.sampled_from(["", "", "", "", "~", "+"]))
    return f"~{group}" if sign == "~" else f"{sign}{group}={draw(st.sampled_from(GROUPS[group]))}"


OVERRIDES = st.lists(st.one_of(choices(), values()), max_size=5)


@pytest.fixture(scope="module", autouse=True)
def hydra_itself() -> Iterator[None]:
    with initialize_config_dir(str(installed_conf()), version_base="1.3"):
        yield


def by_hydra(words: list[str]) -> DictConfig | None:
    try:
        return compose("config", words)
    except ERRORS:
        return None


def by_us(composer: Composer, words: list[str]) -> DictConfig | None:
    try:
        return composer.compose([composer.parser.parse_one(word) for word in words]).config
    except ERRORS:
        return None


def as_text(node: Any) -> None:
    """Make numbers of files texts where the field is for anything: ours keep them as they were written."""
    for _, below in children(node):
        if isinstance(below, AnyNode) and type(node_value(below)) in {int, float}:
            set_text(below, str(node_value(below)))
        as_text(below)


def plain(config: DictConfig | None) -> Any:
    if config is None:
        return None
    as_text(config)
    shape = {str(key): str(OmegaConf.get_type(config, str(key))) for key in config}
    return OmegaConf.to_container(config, resolve=False), shape


@SLOW
@given(OVERRIDES)
@example(["framework=python", "environment=packages"])
@example(["experiment=mnist_horovod", "distribution=torch", "framework=pytorch"])
@example(["tags={a:1.0}", "~tags.a"])
@example(["args=${nodes}", "args.x=0"])
@example(["+args.x={a:{b:2.10}}", "args.x.a.b=3"])
def test_one_composition_is_hydras(words: list[str]) -> None:
    composer = Composer()
    if not all(map(composer.parser.readable, words)):
        assert by_hydra(words) is None
        return
    parsed = [composer.parser.parse_one(word) for word in words]
    # Hydra refuses a list for a mapping; here it takes the place of all arguments (test_values).
    assume(not any(is_whole(each) for each in parsed))
    theirs = by_hydra(words)
    if theirs is not None:
        # The one wanted difference: fields for text and for anything keep what was written.
        restore_overrides(theirs, [each for each in parsed if not composer.is_choice(each)])
    assert plain(by_us(composer, words)) == plain(theirs)


@st.composite
def sweeps(draw: st.DrawFn) -> str:
    group = draw(st.sampled_from(["framework", "distribution", "data", "environment"]))
    several = st.lists(st.sampled_from(GROUPS[group]), min_size=2, max_size=3).map(",".join)
    numbers = st.lists(
        st.sampled_from(["1", "2", "0.1", "1e-3", "2.10", "x", "'a b'"]), min_size=2, max_size=3
    )
    return draw(
        st.one_of(
            several.map(f"{group}={{}}".format),
            numbers.map(lambda items: f"args.lr={','.join(items)}"),
            numbers.map(lambda items: f"tags.a=choice({','.join(items)})"),
            st.sampled_from(
                [
                    "nodes=range(1,4)",
                    "args.n=range(0,1,0.25)",
                    "data=glob(*)",
                    "framework=glob(py*)",
                    "args.q=[1],[2]",
                ]
            ),
            st.sampled_from(
                ["args.s=sort(3,1,2)", "args.d={a:1},{b:2}", "name=a,b", "args.t=tag(x,choice(1,2))"]
            ),
        )
    )


@SLOW
@given(
    st.lists(
        st.one_of(sweeps(), sweeps(), st.sampled_from(["nodes=2", "args.z=1", "data=none"])),
        min_size=1,
        max_size=4,
    )
)
@example(["nodes=1,2", "args.a=5", "nodes=7"])
def test_members_are_those_of_hydras_sweeper(words: list[str]) -> None:
    composer = Composer()
    parsed = [composer.parser.parse_one(word) for word in words]
    [expected] = BasicSweeper.split_arguments(parsed, None)
    members = expand(parsed, composer)
    assert len(members) == len(expected)
    made = Members(composer)
    step = max(1, len(members) // 6)
    for number in range(0, len(members), step):
        theirs = by_hydra(expected[number])
        if theirs is None:
            with pytest.raises(ERRORS):
                made.compose(members[number], number)
            continue
        restore_overrides(theirs, [each for each in members[number] if not composer.is_choice(each)])
        assert plain(made.compose(members[number], number).config) == plain(theirs)


@given(st.sampled_from(["1", "2.10", "1e5", "007", "true", "0x1F", "1_000", "-0.0", "nan", ".5", "5."]))
@settings(deadline=None)
def test_a_text_is_what_was_typed(text: str) -> None:
    words = [
        f"tags.a={text}",
        f"env.X={text}",
        f"framework.version={text}",
        f"command=[{text},{text}]",
        "data=none",
    ]
    config = by_us(Composer(), words)
    assert config is not None
    assert config.tags.a == config.env.X == config.framework.version == text
    assert list(config.command) == [text, text]
    [one, two] = load_sweep([f"tags.a={text},z", "data=none", "framework=python", "script=x.py"])
    assert (one.spec.tags["a"], two.spec.tags["a"]) == (text, "z")


@pytest.mark.parametrize(
    "words", [["hydra.job.name=x"], ["args.x=${hydra:job.name}"], ["hydra/job_logging=none"]]
)
def test_what_asks_for_hydras_tree_is_left_to_hydra(words: list[str]) -> None:
    composer = Composer()
    overrides = [composer.parser.parse_one(word) for word in words]
    with pytest.raises(NeedsHydraError):
        composer.compose(overrides)
    theirs = by_hydra(words)
    assert theirs is not None
    whole = composer.compose_whole(overrides).config
    assert {key: plain(whole)[0][key] for key in theirs} == plain(theirs)[0]


def test_all_that_is_wrong_with_members_is_told_once() -> None:
    def told(*words: str) -> list[str]:
        with pytest.raises(ConfigError) as raised:
            load_sweep([*words, "framework=python", "script=x.py"])
        return [str(problem) for problem in raised.value.problems]

    wrong = [
        "nodes: got 'x'; expected a whole number, such as 2",
        "nodes: got 'y'; expected a whole number, such as 2",
    ]
    assert told("args.a=range(50)", "nodes=1,x,y") == wrong
    assert told("nodes=1,x,y", "args.a=range(50)") == wrong[:1]  # after ten wrong members it ends
