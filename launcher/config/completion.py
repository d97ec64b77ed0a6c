"""Completion of overrides in a shell: groups, choices, keys and the values that they have.

The words of Hydra's own completion, from a composition that leaves Hydra's own tree out, which is what
makes it quick enough for a key press.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.object_type import ObjectType
from hydra.errors import HydraException
from hydra.plugins.completion_plugin import CompletionPlugin
from omegaconf.errors import OmegaConfBaseException

from launcher.config.compose import NeedsHydraError
from launcher.config.load import Loader
from launcher.errors import LauncherError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from launcher.config.compose import Composer

HIDDEN = ("schema", "hydra")
"""Groups that nobody chooses from by hand."""


def complete_overrides(words: Sequence[str], word: str = "", cwd: Path | None = None) -> list[str]:
    """Return what `word` may become after the complete `words` before it; nothing where these are wrong."""
    here = (cwd or Path.cwd()).absolute()
    try:
        loader = Loader(words, here)
        sign = word[:1] if word[:1] in {"+", "~"} else ""
        bare = word[len(sign) :]
        found = [f"{sign}{group}" for group in _groups(loader.composer, bare)]
        if "=" not in bare or not found:
            found += [f"{sign}{key}" for key in _keys(loader, bare)]
    except (LauncherError, HydraException, OmegaConfBaseException, NeedsHydraError):
        return []
    return sorted(set(found))


def _groups(composer: Composer, word: str) -> Iterator[str]:
    """Yield groups, or the choices of the one before the equals sign."""
    repository = composer.loader.repository
    group, equals, choice = word.partition("=")
    if equals:
        options = repository.get_group_options(group, ObjectType.CONFIG)
        yield from (f"{group}={option}" for option in options if option.startswith(choice))
        return
    above, slash, start = group.rpartition("/")
    for name in repository.get_group_options(above, ObjectType.GROUP):
        path = f"{above}{slash}{name}"
        if not name.startswith(start) or path in HIDDEN:
            continue
        if repository.get_group_options(path, ObjectType.CONFIG):
            yield f"{path}="
        else:
            yield f"{path}/"


def _keys(loader: Loader, word: str) -> Iterator[str]:
    config = loader.composer.compose(loader.parse([])).config
    for match in CompletionPlugin._get_matches(config, word):  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # the one function of Hydra that knows
        if match not in {"hydra.", "hydra="}:
            yield match
