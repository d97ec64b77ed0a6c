"""Hydra's own way: its help, its completion, and other people's sweepers and launchers."""

from __future__ import annotations

import re
import sys
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import hydra
from hydra._internal.hydra import Hydra
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict

from launcher.config import resolvers, schema
from launcher.config.compose import Composed, Composer, NeedsHydraError, installed_conf
from launcher.config.explain import ERRORS, explain
from launcher.config.load import Loader
from launcher.config.overrides import keep_text, quoted
from launcher.config.resolve import resolve
from launcher.errors import ConfigError
from launcher.project import find_project

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

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
  python -m launcher runs|init|completion …        look at what was run; --help after each tells more

  dry_run=true shows what would happen · --cfg job shows the configuration · --config-dir DIR adds a conf

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
    asks = {"-sc", "--shell-completion", "--hydra-help"}.isdisjoint(flags)
    if asks:
        problems: list[Problem | str] = []
        overrides = loader.parse(problems)
        if problems:
            raise ConfigError(problems)
        loader.compose(overrides)
        if {"-h", "--help"} & set(flags):
            flags.append(f"hydra.help.template={quoted(HELP.format(groups=_groups(loader.composer)))}")
        return _main(line, loader.composer, flags, _nothing)
    with redirect_stdout(StringIO()) as said:
        code = _main(line, loader.composer, flags, _nothing)
    words = said.getvalue().split()
    internal = re.compile(r"(schema|hydra)[./]?$")  # of no use to whoever completes a word
    print(" ".join(word for word in words if not internal.match(word)))  # noqa: T201  # the answer
    return code


def foreign(loader: Loader) -> bool:
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
        app = Hydra.create_main_hydra2("launcher", loader.composer.search_path(whole=True))
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
        yield config, _request(config, list(overrides), dict(config.hydra.runtime.choices))


def _request(config: DictConfig, words: list[str], choices: dict[str, Any]) -> LaunchRequest:
    if not issubclass(OmegaConf.get_type(config) or object, schema.Launch):
        raise ConfigError(
            ["hydra/launcher=launcher: this app's configuration is not launcher's. Try launcher_local"]
        )
    composer = Composer()
    values = [each for each in composer.parser.parse(words, []) if not composer.is_choice(each)]
    keep_text(config, values)
    return resolve(Composed(config, choices), words, find_project(), Path.cwd())


def _main(line: CommandLine, composer: Composer, flags: Sequence[str], task: Callable[..., Any]) -> int:
    """Run `hydra.main`; return the exit code."""
    schema.register(ConfigStore.instance())
    resolvers.register()
    words = [*flags, *line.overrides]
    if composer.conf is not None:
        words += ["--config-dir", str(installed_conf())]  # after the project's own
    main = hydra.main(
        version_base="1.3", config_path=str(composer.conf or installed_conf()), config_name=line.primary
    )(task)
    with _arguments(words):
        try:
            main()
        except SystemExit as end:
            return 0 if end.code in {None, 0} else FAILED
    return 0


@contextmanager
def _arguments(words: Sequence[str]) -> Generator[None]:
    """Let `hydra.main` see these words: it reads nothing else."""
    before = sys.argv
    sys.argv = [before[0], *words]
    try:
        yield
    finally:
        sys.argv = before


def _groups(composer: Composer) -> str:
    groups = [group for group in composer.loader.list_groups("") if group not in {"hydra", "schema"}]
    return "\n".join(f"{group}: {', '.join(composer.options(group))}" for group in sorted(groups))


def _nothing(config: DictConfig) -> None:
    """Stand in for a task where Hydra only shows something."""
    del config
