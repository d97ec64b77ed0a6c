"""Hydra's own way: its help, its completion, and other people's sweepers and launchers."""

from __future__ import annotations

import re
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hydra._internal.hydra import Hydra
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict

from launcher.commands import overview
from launcher.config import schema
from launcher.config.compose import Composer, Composition, NeedsHydraError
from launcher.config.explain import ERRORS, explain
from launcher.config.hydra_loader import HydraLoader
from launcher.config.key_problems import error_text
from launcher.config.load import Loader
from launcher.config.overrides import quote
from launcher.config.resolve import resolve
from launcher.errors import ConfigError
from launcher.project import find_project

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from hydra.core.config_loader import ConfigLoader

    from launcher.config.command_line import CommandLine
    from launcher.errors import Problem
    from launcher.spec import LaunchRequest

FAILED: Final = 2
"""Hydra ends with 1 for everything; nothing was started then."""

OURS: Final = {"hydra/launcher": "launcher", "hydra/sweeper": "launcher"}
BASIC: Final = "basic"
"""Hydra's default, which ours takes the place of."""

HELP: Final = """\
Trains and records experiments: composed YAML, one line to start it.

  python -m launcher KEY=VALUE GROUP=CHOICE …      one run
  python -m launcher -m KEY=A,B KEY='range(1,4)'   a run for each combination

  dry_run=true shows what would happen · --cfg job shows the configuration · --config-dir DIR adds a conf

== Commands: python -m launcher COMMAND …; --help after a command or a verb explains it ==
{commands}

== Groups: choose with GROUP=CHOICE ==
{groups}

== Configuration: change anything with KEY=VALUE ==
$CONFIG"""


def product_version() -> str:
    """Return the version of this package, as it is installed."""
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415  # 10 ms that no launch needs

    try:
        return version("launcher")
    except PackageNotFoundError:
        return "unknown (not installed)"


def show(line: CommandLine, cwd: Path | None = None) -> int:
    """Let Hydra answer `--help`, `--cfg`, `--info` or a shell's completion."""
    loader = Loader(line, cwd)
    flags = list(line.hydra)
    if "--hydra-help" in flags:
        return _answer(line, loader.composer, flags)
    if {"-sc", "--shell-completion"}.isdisjoint(flags):
        problems: list[Problem | str] = []
        overrides = loader.parse(problems)
        if problems:
            raise ConfigError(problems)
        loader.compose(overrides)
        if {"-h", "--help"} & set(flags):
            template = HELP.format(commands=overview(), groups=_groups(loader.composer))
            flags.append(f"hydra.help.template={quote(template)}")
        return _answer(line, loader.composer, flags)
    with redirect_stdout(StringIO()) as said:
        code = _answer(line, loader.composer, flags)
    words = said.getvalue().split()
    internal = re.compile(r"(schema|hydra)[./]?$")  # of no use to whoever completes a word
    print(" ".join(word for word in words if not internal.match(word)))  # noqa: T201  # the answer
    return code


def is_foreign(loader: Loader) -> bool:
    """Tell whether somebody else's sweeper or launcher was chosen in a file."""
    if not loader.line.multirun:
        return False
    overrides = [each for each in loader.parse([]) if not each.is_sweep_override()]
    try:
        loader.composer.groups(overrides)
    except NeedsHydraError:
        choices = loader.compose(overrides).choices
        return any(choices.get(group) not in {BASIC, ours, None} for group, ours in OURS.items())
    except ERRORS:  # told where the sweep is composed
        return False
    return False


def run(line: CommandLine, task: Callable[[LaunchRequest], Any], cwd: Path | None = None) -> None:
    """Go Hydra's own way with somebody else's sweeper or launcher; `task` launches one run.

    Raises:
        ConfigError: what Hydra or the plugin has against the command line.
        LauncherError: a run failed and the sweeper minds.
    """
    loader = Loader(line, cwd)
    problems: list[Problem | str] = []
    overrides = loader.parse(problems)
    if problems:
        raise ConfigError(problems)

    def job(config: DictConfig) -> Any:
        known = HydraConfig.get()
        return task(_request(config, list(known.overrides.task), dict(known.runtime.choices)))

    fixed = [each for each in overrides if not each.is_sweep_override()]
    try:
        choices = loader.composer.compose_whole(fixed).choices
        # A choice of the user's stays: ours comes only in the place of Hydra's default.
        given = {word.partition("=")[0] for word in line.overrides}
        ours = [
            f"{group}={name}"
            for group, name in OURS.items()
            if group not in given and choices[group] == BASIC
        ]
        app = _app(loader.composer)
        start = app.multirun if line.multirun else app.run
        start(line.primary, job, [*ours, *line.overrides])
    except ERRORS as error:
        raise ConfigError(explain(loader.composer, fixed, error)) from error
    finally:
        GlobalHydra.instance().clear()


def jobs(
    loader: ConfigLoader, master: DictConfig, batch: Sequence[Sequence[str]], first: int
) -> Iterator[tuple[DictConfig, LaunchRequest]]:
    """Yield the configuration and the run of every job that a sweeper chose.

    Raises:
        ConfigError: with everything that is wrong with a job.
    """
    for number, overrides in enumerate(batch, start=first):
        config = loader.load_sweep_config(master, list(overrides))
        with open_dict(config):
            config.hydra.job.id = str(number)
            config.hydra.job.num = number
        HydraConfig.instance().set_config(config)
        words = list(config.hydra.overrides.task)  # as they were written
        yield config, _request(config, words, dict(config.hydra.runtime.choices))


def _request(config: DictConfig, words: list[str], choices: dict[str, Any]) -> LaunchRequest:
    if not issubclass(OmegaConf.get_type(config) or object, schema.Launch):
        raise ConfigError(
            ["hydra/launcher=launcher: this app's configuration is not launcher's. Try launcher_local"]
        )
    return resolve(Composition(config, choices), words, find_project(), Path.cwd())


def _app(composer: Composer) -> Hydra:
    """Return Hydra's application object with launcher's loader."""
    app = Hydra("launcher", HydraLoader(composer.search_path(whole=True)))
    GlobalHydra.instance().initialize(app)
    return app


def _answer(line: CommandLine, composer: Composer, flags: Sequence[str]) -> int:
    """Let Hydra print what its flags ask for; return the exit code."""
    parser = get_args_parser()
    app = _app(composer)
    try:
        asked = parser.parse_args([*flags, *line.overrides])
        if asked.help:
            app.app_help(line.primary, parser, asked)
        elif asked.hydra_help:
            app.hydra_help(line.primary, parser, asked)
        elif asked.info is not None:
            app.show_info(asked.info, line.primary, asked.overrides)
        elif asked.shell_completion:
            app.shell_completion(line.primary, asked.overrides)
        elif asked.cfg is not None:
            app.show_cfg(line.primary, asked.overrides, asked.cfg, asked.package, asked.resolve)
        else:
            raise ConfigError([f"{flags[0]}: this flag goes with --cfg"])
    except SystemExit as end:
        return 0 if end.code in {None, 0} else FAILED
    except ERRORS as error:
        raise ConfigError([error_text(error)]) from error
    finally:
        GlobalHydra.instance().clear()
    return 0


def _groups(composer: Composer) -> str:
    groups = [group for group in composer.loader.list_groups("") if group not in {"hydra", "schema"}]
    return "\n".join(f"{group}: {', '.join(composer.options(group))}" for group in sorted(groups))
