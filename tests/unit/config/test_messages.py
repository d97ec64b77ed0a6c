"""What people are told, whole; each case is one command line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from launcher.checks import check
from launcher.config.compose import Composer
from launcher.config.load import load, load_sweep
from launcher.errors import ConfigError, Problem
from launcher.facts import Facts

if TYPE_CHECKING:
    from pathlib import Path

QUOTED = "the value needs quotes. Write"

ONE = {
    "nodes=2,4": (
        "nodes: got '2,4', which is several values. For one text write \"nodes='2,4'\"; "
        "for one run each add -m: python -m launcher -m nodes=2,4"
    ),
    "args.x=range(1,3)": (
        "args.x: got 'range(1,3)', which is several values. For one text write \"args.x='range(1,3)'\"; "
        'for one run each add -m: python -m launcher -m "args.x=range(1,3)"'
    ),
    "nodes=x": "nodes: got 'x'; expected a whole number, such as 2",
    "nodes=2.0": "nodes: got '2.0'; expected a whole number, such as 2",
    "nodes=true": "nodes: got 'true'; expected a whole number, such as 2",
    "memory_gib=much": "memory_gib: got 'much'; expected a number, such as 0.5, or null",
    "wait=maybe": "wait: got 'maybe'; expected true or false",
    "name=null": "name: got 'null'; expected a text",
    "name=[a]": "name: got '[a]'; expected a text",
    "env.X=null": "env.X: got 'null'; expected a text",
    "command=foo": "command: got 'foo'; expected a list such as [a,b]",
    "args=5": "args: got '5'; expected a mapping such as {a: b}",
    "copmute=local": "copmute: got 'local'; expected a known key. Did you mean compute?",
    "+foo=1": "foo: got 1; expected a known key",
    "+nodse=1": "nodse: got 1; expected a known key. Did you mean nodes?",
    "+compute.max_paralel=1": (
        "compute.max_paralel: got 1; expected a known key. Did you mean compute.max_parallel?"
    ),
    "++zork.a=1": "zork: got {'a': 1}; expected a known key. Did you mean work?",
    "+nodes=2": "+nodes: this key is there already. Write nodes=2",
    "~foo": "~foo: there is no such key to delete.",
    "~tags.a": "~tags.a: there is no such key to delete. Did you mean tags?",
    "learning-rate=0.1": "learning-rate: got '0.1'; expected a known key. Did you mean args.learning-rate?",
    "compute=locl": "compute: got 'locl'; expected one of {compute}. Did you mean local?",
    "distribution=horovd": (
        "distribution: got 'horovd'; expected one of {distribution}. Did you mean horovod?"
    ),
    "compute=3": "compute: got 3; expected one of {compute}",
    "experiment=foo": "experiment: got 'foo'; expected one of {experiment}",
    "distribution.parameter_server_count=2": (
        "distribution.parameter_server_count: got '2'; expected a key of distribution: it has none. "
        "With distribution=parameter_server it is one"
    ),
    "framework.verison=2": (
        "framework.verison: got '2'; expected a key of framework: name, version. "
        "Did you mean framework.version?"
    ),
    "args.a.b=1": (
        "args.a: got {'b': 1}; expected a text, a number, true, false, null or a list of these. "
        "Arguments are flat; try names such as args.a-b"
    ),
    "args.a=[[1],2]": (
        "args.a: got [1]; expected a text, a number, true, false, null or a list of these. "
        "To repeat the flag let every item be a list, such as [[a],[b]]"
    ),
    "args._=[{a:1}]": (
        "args._: got {'a': 1}; expected a text, a number, true, false, null or a list of these. "
        "Arguments are flat"
    ),
    "args.x=${nope}": (
        "args.x: got '${nope}'; expected a value that can be resolved. Interpolation key 'nope' not found"
    ),
    "args.x=${oc.env:LAUNCHER_NOPE}": (
        "args.x: got '${oc.env:LAUNCHER_NOPE}'; expected a value that can be resolved. "
        "KeyError raised while resolving interpolation: \"Environment variable 'LAUNCHER_NOPE' not found\""
    ),
    "tags.a=${b:}": (
        "tags.a: got '${b:}'; expected a value that can be resolved. Unsupported interpolation type b"
    ),
    "args.x=???": "args.x: got '???'; expected a value. Give it with args.x=…",
    "description=it's": f"description=it's: {QUOTED} 'description=\"it'\"'\"'s\"'",
    "args.x=a=b": f"args.x=a=b: {QUOTED} \"args.x='a=b'\"",
    "args.x={": f"args.x={{: {QUOTED} \"args.x='{{'\"",
    "args.x=f(": f"args.x=f(: {QUOTED} \"args.x='f('\"",
    "=3": "=3: expected key=value",
    "a b=3": "a b: this is no key. Write a-b=3",
    "tags.a.b=1": (
        "tags.a.b: got '1'; expected a text under one name, without keys below it. Write tags.a-b=…"
    ),
    "tags={a:{b:1}}": "tags.a: got {'b': '1'}; expected a text",
    "env={A:[1]}": "env.A: got ['1']; expected a text",
    "command=[a,[b]]": "command[1]: got ['b']; expected a text",
    "tags=[a]": "tags: got '[a]'; expected a mapping such as {a: b}",
    "data.inputs.x=1": "data.inputs.x: got '1'; expected a mapping such as {uri: PATH}",
    "source=": "source: got ''; expected a folder",
    "store=": "store: got ''; expected a folder whose path is one line",
    "memory_gib=4GB": (
        "memory_gib: got '4GB'; expected a number, such as 0.5, or null. Give the number alone"
    ),
    "args.x=choice()": (
        "args.x: got 'choice()'; expected values as in -m \"args.x=choice(a,b)\"; "
        "for the text itself write \"args.x='choice()'\""
    ),
    "args.x=int(a)": (
        "args.x: got 'int(a)'; expected values as in \"args.x=int(1.5)\"; "
        "for the text itself write \"args.x='int(a)'\""
    ),
    "command=[ls": (
        "command: got '[ls'; expected it closed at both ends. Write \"command=[ls]\"; "
        "for the text itself write \"command='[ls'\""
    ),
    "description='x": (
        'description: got "\'x"; expected it closed at both ends. Write "description=\'x\'"; '
        "for the text itself write 'description=\"'\"'\"'x\"'"
    ),
    "args.--lr=1": "args.--lr: this is no key. Write args.lr=1",
    "compute:local": "compute:local: expected key=value. Write compute=local",
    "train.py": "train.py: expected key=value. For a script write script=train.py",
    "nodes": "nodes: expected key=value, such as nodes=…",
    "NODES=2": "NODES: got '2'; expected a known key. Did you mean nodes?",
    "gpus=1": "gpus: got '1'; expected a known key. Did you mean gpus_per_node?",
    "zork=1": "zork: got '1'; expected a known key. Did you mean work?",
    "momentum=1": "momentum: got '1'; expected a known key. An argument of the script is args.momentum",
    "max_parallel=1": (
        "max_parallel: got '1'; expected a known key. With compute=local it is compute.max_parallel"
    ),
    "schema=launch": "schema: got 'launch'; expected a known key",
    "experiment=": "experiment: got ''; expected one of {experiment}. Write experiment=NAME",
    "experiment=[a]": "experiment: got 'a'; expected one of {experiment}",
    "experiment=conf/experiment/mnist_horovod.yaml": (
        "experiment: got 'conf/experiment/mnist_horovod.yaml'; expected one of {experiment}. "
        "Write experiment=mnist_horovod"
    ),
    "experiment={a:1}": "experiment: got '{a:1}'; expected one of {experiment}",
    "+experiment=x": "+experiment: got 'x'; expected no sign before the group. Write experiment=x",
    "++compute=local": "++compute: got 'local'; expected no sign before the group. Write compute=local",
    "compute=null": "compute: got None; expected one of {compute}",
    "experiment=null": (
        "experiment: got None; expected one of {experiment}. To leave it out write ~experiment"
    ),
    "~compute": "compute: got '???'; expected a value. Give it with compute=…",
    "~compute.max_parallel": (
        "~compute.max_parallel: got None; expected a key that was added. "
        "Set this one with compute.max_parallel=…"
    ),
    "compute@x=local": "compute@x: got 'local'; expected a group alone. Write compute=local",
    "hydra.sweeper.params.args.lr=1": (
        "hydra.sweeper.params.args.lr: got '1'; expected the key itself with -m; this one is for files. "
        "Write -m args.lr=1"
    ),
    "hydra.sweeper.params={a:1}": (
        "hydra.sweeper.params: got '{a:1}'; expected the key itself with -m; this one is for files. "
        "Write -m KEY=VALUE,VALUE"
    ),
    "hydra/launcher=basci": (
        "hydra/launcher: got 'basci'; expected one of basic, launcher, launcher_local, launcher_slurm. "
        "Did you mean basic?"
    ),
    "hydra/zork=x": "hydra/zork: got 'x'; expected a known group. Did you mean hydra/sweeper?",
    "hydra.mode=x": "hydra.mode: got 'x'; expected one of RUN, MULTIRUN, or null",
    "a@b=3": "Override a@b=3 looks like a config group override, but config group 'a' does not exist.",
    "--cofnig-dir": "--cofnig-dir: this flag is unknown. Did you mean --config-dir?",
    "--config-dir": "--config-dir: a value must follow",
    "--config-dir=nope": "--config-dir: got '{place}/nope'; expected an existing folder",
    "--config-name=nope": "Cannot find primary config 'nope'. Check that it's in your config search path.",
}


def fill(text: str, place: Path) -> str:
    composer = Composer()
    for group in ("compute", "distribution", "experiment"):
        text = text.replace(f"{{{group}}}", ", ".join(composer.options(group)))
    return text.replace("{place}", str(place))


@pytest.mark.parametrize("word", ONE)
def test_one_problem(word: str, place: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        load([word], place)
    assert str(raised.value) == fill(ONE[word], place)
    assert raised.value.exit_code == 2


def test_a_problem_that_is_its_own_cause(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OC_CAUSE", "1")  # OmegaConf's, as in a debugger
    with pytest.raises(ConfigError) as raised:
        load(["tags.a.b=1"], place)
    assert str(raised.value) == fill(ONE["tags.a.b=1"], place)


def test_all_problems_of_a_command_line_at_once(place: Path) -> None:
    words = [
        "distribution=parameter_server",
        "distribution.chief=boss",
        "nodes=x",
        "wait=1,2",
        "compute=locl",
        "foo='",
    ]
    with pytest.raises(ConfigError) as raised:
        load(words, place)
    assert [str(problem).split(":")[0] for problem in raised.value.problems] == [
        "foo='",
        "wait",
        "compute",
        "distribution.chief",
        "nodes",
    ]


def test_the_checks_are_told_with_the_rest(place: Path) -> None:
    with pytest.raises(ConfigError, match=r"(?s)wait: got '1,2'.*name: got 'mnist'; expected the checks"):
        load(["wait=1,2"], place, check=lambda spec: [Problem("name", spec.name, "the checks")])


FALSE = [
    (["compute=locl", "source=src"], ["compute"]),
    (["experiment=a,b"], ["experiment"]),
    (["experiment='x"], ["experiment"]),
    (["sorce=src", "name=.."], ["sorce"]),
    (["source=src,x", "name=.."], ["source", "name"]),
    (["source=src", "script='x", "name=.."], ["script", "name"]),
    (["source=src", "script=x.py", "nodes=x", "gpus_per_node=-1"], ["nodes"]),
    (["source=src", "script=x.py", "wait=maybe", "nodes=0"], ["wait", "nodes"]),
    (["source=src", "script=x.py", "args.x=${nope}", "wait=maybe"], ["wait"]),
]


@pytest.mark.parametrize(("words", "keys"), FALSE)
def test_a_wrong_word_brings_no_second_problem_that_is_false(
    words: list[str], keys: list[str], place: Path
) -> None:
    with pytest.raises(ConfigError) as raised:
        load(["framework=python", *words], place, check=lambda spec: check(spec, Facts()))
    assert [re.split("[:.=]", str(problem))[0] for problem in raised.value.problems] == keys


SWEEPS = {
    "args.x=interval(1,3)": (
        "args.x: got 'interval(1,3)'; "
        "expected values that can be counted: a,b,c or range(1,4) or choice(a,b). "
        "interval() needs a sweeper that searches, such as hydra/sweeper=optuna"
    ),
    "compute=glob(zz*)": "compute: got 'glob(zz*)'; expected at least one value",
    "nodes=1,x": "nodes: got 'x'; expected a whole number, such as 2",
    "distribution=single,mpy": "distribution: got 'mpy'; expected one of {distribution}. Did you mean mpi?",
}


@pytest.mark.parametrize("word", SWEEPS)
def test_problems_of_a_sweep(word: str, place: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        load_sweep([word, "args.y=1,2"], place)
    assert str(raised.value) == fill(SWEEPS[word], place)
