"""`launcher env build`: the environment of a launch, without launching."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from launcher.checks import check_environment
from launcher.cli import parser_of
from launcher.cli.output import JSON, Parser, say, say_json
from launcher.commands import HELP_FLAGS
from launcher.config.command_line import parse
from launcher.config.load import load, load_sweep
from launcher.config.overrides import quote
from launcher.errors import ConfigError
from launcher.members import validate
from launcher.probe import probe
from launcher.store.ownership import open_cache
from launcher.view import View, duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launcher.members import Member
    from launcher.spec import Prepared

STORE = "--store"


class ProgressRecorder:
    """Passes progress on, and knows whether there was any: what is there is found without a word."""

    def __init__(self, view: View) -> None:
        self.any = False
        self._view = view

    def step(self, text: str, done: float | None = None) -> None:
        """See `Progress.step`."""
        self.any = True
        self._view.step(text, done)


def add_options(parser: Parser) -> None:
    """Add the options of this verb."""
    parser.add_argument(
        "words",
        nargs="*",
        metavar="OVERRIDE",
        help="as of a launch: framework=pytorch; -m for those of a sweep",
    )


def run(argv: Sequence[str]) -> int:
    """Build the environment of a launch, or those of a sweep, each once.

    Raises:
        ConfigError: with all that is wrong with the launch.
        BuildError: with the last lines of what failed.
    """
    if set(HELP_FLAGS) & set(argv):
        parser_of("env", "build").parse_args(HELP_FLAGS[:1])
    line = parse(_launch_words(argv))
    if line.hydra or line.version or line.plugins:
        raise ConfigError(["env build: takes the words of a launch or of a sweep (-m), --store and --json"])
    requests = (
        load_sweep(line)
        if line.multirun
        else [load(line, check=lambda spec: check_environment(spec, probe(spec)))]
    )
    built: dict[str, dict[str, Any]] = {}
    with View() as view:
        for member in validate(requests, check_environment):
            made = _build(member, view)
            built.setdefault(made["key"], made)
    if JSON in argv:
        say_json(list(built.values()) if line.multirun else next(iter(built.values())))
        return 0
    for made in built.values():
        where = made["image"] or made["prefix"] or made["python"]
        took = duration(made["seconds"])
        say(f"{made['key'][:20]}  {where}  {f'built in {took}' if made['built'] else f'was there ({took})'}")
    return 0


def _launch_words(argv: Sequence[str]) -> list[str]:
    """Return the words of the launch: `--store DIR` is `store=DIR`, as with the other verbs."""
    words: list[str] = []
    rest = iter(word for word in argv if word != JSON)
    for word in rest:
        flag, equals, folder = word.partition("=")
        if flag != STORE:
            words.append(word)
        elif equals or (folder := next(rest, "")):
            words.append(f"store={quote(folder)}")
        else:
            raise ConfigError([f"{STORE}: a folder must follow"])
    return words


def _build(member: Member, view: View) -> dict[str, Any]:
    """Build for a member what its job would else build."""
    begin, told, spec = time.monotonic(), ProgressRecorder(view), member.request.spec
    request = replace(spec.environment_request, deferrable=False)
    prepared: Prepared = spec.environment.prepare(request, member.facts, open_cache(), told)
    return {
        "key": prepared.key,
        "kind": spec.environment.kind,
        "python": prepared.python,
        "prefix": prepared.prefix or None,
        "image": prepared.image,
        "archive": prepared.archive,
        "built": told.any,
        "seconds": round(time.monotonic() - begin, 1),
    }
