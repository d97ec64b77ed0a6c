"""The commands beside launching: one file a verb, all in the table `launcher.commands.COMMANDS`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from launcher import streams
from launcher.commands import COMMANDS, HELP_FLAGS, OPERANDS, overview, unknown_command, unknown_verb
from launcher.errors import ConfigError

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence
    from types import ModuleType

    from launcher.cli.output import Parser


USAGE = """\
usage: launcher KEY=VALUE …      launch a run (`launcher --help` lists the keys)
       launcher COMMAND …

commands (`launcher COMMAND --help` explains each):
"""


def main(argv: Sequence[str]) -> int:
    """Run a command, `argv[0]`, and return its exit code.

    Raises:
        LauncherError: what a user can mend.
    """
    name, *words = argv
    if name == "help":
        print(USAGE + overview())  # noqa: T201  # the answer
        return streams.print_code()
    problem = unknown_command(argv) if name not in COMMANDS else unknown_verb(name, words)
    if problem is not None:
        raise ConfigError([problem])
    verbs = COMMANDS[name].verbs
    if verbs and words[0] in HELP_FLAGS:
        parser_of(name).parse_args(words)
    command = verbs[words[0]] if verbs else COMMANDS[name]
    path = [name, words.pop(0)] if verbs else [name]
    code = int(_module(path).run(words if command.raw else _options(parser_of(*path), words)))
    return code if command.acts else streams.print_code(code)


def _options(made: Parser, words: Sequence[str]) -> Namespace:
    options, rest = made.parse_known_args(words)
    if "words" in options:
        options.words += rest  # those of a launch, with its flags
    elif rest:
        made.error(f"unrecognized arguments: {' '.join(rest)}")
    return options


def parser_of(noun: str, verb: str = "") -> Parser:
    """Return the parser of a noun, of its verb, or of a command without verbs."""
    from launcher.cli.output import Help, Parser, add_store  # noqa: PLC0415  # `help` does not need argparse

    command = COMMANDS[noun].verbs[verb] if verb else COMMANDS[noun]
    path = [noun, verb] if verb else [noun]
    made = Parser(
        prog=" ".join(["launcher", *path]),
        description=command.title or command.help,
        formatter_class=Help,
        allow_abbrev=COMMANDS[noun].abbreviates,
    )
    if command.verbs:
        verbs = made.add_subparsers(metavar="VERB", prog=made.prog)
        for name, row in command.verbs.items():
            verbs.add_parser(name, help=row.help)
        return made
    if COMMANDS[noun].store:
        add_store(made)
    if command.operand in OPERANDS:
        made.add_argument(command.operand, **OPERANDS[command.operand])
    add_options = getattr(_module(path), "add_options", None)
    if add_options is not None:
        add_options(made)
    return made


def _module(path: Sequence[str]) -> ModuleType:
    return import_module(f"launcher.cli.{'_'.join(path)}")
