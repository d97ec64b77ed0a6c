"""From a command line to launch requests."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from launcher.config.command_line import CommandLine, parse
from launcher.config.compose import Composer
from launcher.config.resolve import resolve
from launcher.project import Project, find_project

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launcher.spec import LaunchRequest


def load(words: Sequence[str], cwd: Path | None = None) -> LaunchRequest:
    """Return the run that a command line asks for.

    Raises:
        ConfigError: with everything that is wrong.
    """
    line = parse(words)
    folder = (cwd or Path.cwd()).absolute()
    project = find_project(folder)
    composer = Composer(conf_folder(line, project, folder), line.primary)
    return resolve(composer.compose(line.overrides).config, line.overrides, project, folder)


def conf_folder(line: CommandLine, project: Project, cwd: Path) -> Path | None:
    """Return the folder that is searched before the installed groups, if one was named."""
    return (cwd / Path(line.conf).expanduser()) if line.conf is not None else project.conf
