"""From a command line to launch requests."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from launcher.config.command_line import CommandLine, parse
from launcher.config.compose import Composer, Composition, NeedsHydraError
from launcher.config.describe import sweep_problem
from launcher.config.explain import ERRORS, explain, independent_problems, is_value_key, valid_overrides
from launcher.config.overrides import quote
from launcher.config.resolve import resolve
from launcher.config.sweep import Members, expand, share_cache
from launcher.errors import ConfigError, Problem
from launcher.paths import expand_home
from launcher.project import Project, find_project

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from hydra.core.override_parser.types import Override

    from launcher.spec import LaunchRequest, RunSpec

    Check = Callable[[RunSpec], Iterable[Problem]]
    Admit = Callable[[int, RunSpec], object]

FAILURES = 10
"""A sweep tells what is wrong with at most this many of its members."""


def load(
    line: CommandLine | Sequence[str], cwd: Path | None = None, check: Check | None = None
) -> LaunchRequest:
    """Return the run that a command line asks for.

    `check` is called only if something is wrong already, so that its problems show as well. It sees the
    overrides that are right, and its problems count if no wrong override can be their reason.

    Raises:
        ConfigError: with everything that is wrong.
    """
    loader = Loader(line, cwd)
    problems: list[Problem | str] = []
    overrides = [each for each in loader.parse(problems) if not _is_sweep(each, problems)]
    request = loader.request(overrides, problems)
    if request is not None and not problems:
        return request
    if check is not None:
        problems += loader.checks(check, overrides, request)
    raise ConfigError(problems)


def load_sweep(
    line: Loader | CommandLine | Sequence[str], cwd: Path | None = None, admit: Admit | None = None
) -> list[LaunchRequest]:
    """Return the members of the sweep that a command line asks for, in order.

    `admit` is called with the number of members and the spec of the first, before the others are composed;
    what it raises ends the sweep.

    Raises:
        ConfigError: with everything that is wrong with the first `FAILURES` that are wrong.
    """
    loader = line if isinstance(line, Loader) else Loader(line, cwd)
    problems: list[Problem | str] = []
    overrides = loader.parse(problems)
    if problems:
        raise ConfigError(problems)
    return loader.members(expand([*loader.params(overrides), *overrides], loader.composer), admit)


def conf_folder(line: CommandLine, project: Project, cwd: Path) -> Path | None:
    """Return the folder that is searched before the installed groups, if one was named.

    Raises:
        ConfigError: it is not there.
    """
    if line.conf is None:
        given, folder = "[tool.launcher] conf", project.conf
    else:
        given, folder = "--config-dir", cwd / expand_home(line.conf, "--config-dir")
    if folder is not None and not folder.is_dir():
        raise ConfigError([Problem(given, str(folder), "an existing folder")])
    return folder


class Loader:
    """One command line, its project and its composer."""

    def __init__(self, line: CommandLine | Sequence[str], cwd: Path | None) -> None:
        self.line = line if isinstance(line, CommandLine) else parse(line)
        self.cwd = (cwd or Path.cwd()).absolute()
        self.project = find_project(self.cwd)
        self.composer = Composer(conf_folder(self.line, self.project, self.cwd), self.line.primary)

    def parse(self, problems: list[Problem | str]) -> list[Override]:
        """Return the overrides; every word that is none is added to `problems`."""
        return self.composer.parser.parse(self.line.overrides, problems)

    def request(self, overrides: Sequence[Override], problems: list[Problem | str]) -> LaunchRequest | None:
        """Return the run of these overrides, or None with what is wrong added to `problems`."""
        try:
            composed = self.compose(overrides)
            return self.resolve(composed, overrides)
        except ConfigError as error:
            problems += error.problems
        return None

    def checks(
        self, check: Check, overrides: Sequence[Override], request: LaunchRequest | None
    ) -> list[Problem]:
        """Return the problems of a run that is wrong already; `request` is None if it does not compose."""
        usable = overrides if request is not None else valid_overrides(self.composer, overrides)
        kept = {_key(str(override.input_line)) for override in usable or ()}
        wrong = [key for key in map(_key, self.line.overrides) if key not in kept]
        if usable is None or not all(map(is_value_key, wrong)):
            return []
        request = request or self.request(usable, [])
        return independent_problems(check(request.spec), wrong) if request is not None else []

    def compose(self, overrides: Sequence[Override]) -> Composition:
        """Return the configuration of these overrides.

        Raises:
            ConfigError: with everything that is wrong with them.
        """
        try:
            return self.composer.compose(overrides)
        except NeedsHydraError:
            return self._whole(overrides)
        except ERRORS as error:
            raise ConfigError(explain(self.composer, overrides, error)) from error

    def _whole(self, overrides: Sequence[Override]) -> Composition:
        try:
            return self.composer.compose_whole(overrides)
        except ERRORS as error:
            raise ConfigError(explain(self.composer, overrides, error)) from error

    def resolve(self, composed: Composition, overrides: Sequence[Override]) -> LaunchRequest:
        """Return what a configuration asks for.

        Raises:
            ConfigError: with everything that has no value or no meaning.
        """
        words = [str(override.input_line) for override in overrides]
        return resolve(composed, words, self.project, self.cwd)

    def params(self, overrides: Sequence[Override]) -> list[Override]:
        """Return what a file sweeps over, as `hydra.sweeper.params` of Hydra's basic sweeper."""
        fixed = [override for override in overrides if not override.is_sweep_override()]
        try:
            self.composer.groups(fixed)
        except NeedsHydraError:
            config = self._whole(fixed).config
            params: Any = OmegaConf.select(config, "hydra.sweeper.params") or {}
            return [self.composer.parser.parse_one(f"{key}={params[key]}") for key in params]
        except ERRORS:
            return []  # told where the members are composed
        return []

    def members(
        self, members: Sequence[Sequence[Override]], admit: Admit | None = None
    ) -> list[LaunchRequest]:
        """Return a run for each list of overrides; for `admit` see `load_sweep`."""
        composer = Members(self.composer)
        problems: dict[str, Problem | str] = {}
        requests: list[LaunchRequest] = []
        failed, first = 0, None
        for number, overrides in enumerate(members):
            try:
                composed = composer.compose(overrides, number)
                first = first or composed
                share_cache(first, composed)
                requests.append(self.resolve(composed, overrides))
                if admit is not None and len(requests) == 1 and not problems:
                    admit(len(members), requests[0].spec)
            except ConfigError as error:
                problems |= {str(problem): problem for problem in error.problems}
                failed += 1
            except ERRORS as error:
                problems |= {str(each): each for each in explain(self.composer, overrides, error)}
                failed += 1
            if failed == FAILURES:
                break
        if problems:
            raise ConfigError(list(problems.values()))
        return requests


def _key(word: str) -> str:
    return word.partition("=")[0]


def _is_sweep(override: Override, problems: list[Problem | str]) -> bool:
    if override.is_sweep_override():
        problems.append(sweep_problem(str(override.input_line), quote))
        return True
    return False
