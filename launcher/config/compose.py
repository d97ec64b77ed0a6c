"""Composition: from override texts to one configuration, by Hydra's internals.

What is used of Hydra here, in `hydra_loader` and in `overrides` is public in spirit only, so hydra-core is
pinned and tests/property compares every result with Hydra's own composition.
"""
# ruff: noqa: SLF001
# pyright: reportPrivateUsage=false

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from hydra import version
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository, IConfigRepository
from hydra._internal.config_search_path_impl import ConfigSearchPathImpl
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.core_plugins.structured_config_source import StructuredConfigSource
from hydra._internal.defaults_list import create_defaults_list
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.config_store import ConfigStore
from hydra.core.default_element import GroupDefault
from hydra.core.utils import setup_globals
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from launcher.config import resolvers, schema
from launcher.config.hydra_loader import HydraLoader
from launcher.config.omegaconf_nodes import children, node_value
from launcher.config.overrides import Parser
from launcher.config.text import restore_overrides
from launcher.project import installed_conf

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from hydra.core.override_parser.types import Override


class Repository(CachingConfigRepository):
    """Hydra's cache of what was read, which copies all schemas, without that copy: nothing writes to them."""

    def __init__(self, delegate: IConfigRepository) -> None:
        self.delegate = copy(delegate)  # its list of sources is replaced, never changed
        self.cache = {}


class NeedsHydraError(Exception):
    """This configuration uses Hydra's own part of the tree."""


@dataclass(frozen=True, slots=True)
class Composition:
    """A configuration, and which choice of every group it was made of."""

    config: DictConfig
    choices: Mapping[str, str | None]


class Composer:
    """Composes configurations of one search path, without Hydra's own tree where nothing asks for it.

    That tree is 80 % of the cost of a composition (facts/performance.md).
    """

    def __init__(self, conf: Path | None = None, primary: str = "config") -> None:
        self.primary = primary
        self.conf = conf
        version.setbase("1.3")
        for source in (FileConfigSource, StructuredConfigSource):  # spares the scan for plugins
            SourcesRegistry.instance().register(source)
        schema.register(ConfigStore.instance())
        setup_globals()
        resolvers.register()
        self.loader = HydraLoader(self.search_path())
        self.parser = Parser(self.loader)
        self._groups: dict[tuple[str, ...], Composition] = {}

    def search_path(self, *, whole: bool = False) -> ConfigSearchPathImpl:
        """Return where files are looked for; `whole` with Hydra's own and those of its plugins."""
        path = ConfigSearchPathImpl()
        if whole:
            path.append("hydra", "pkg://hydra.conf")
        if self.conf is not None:
            path.append("project", f"file://{self.conf}")
        path.append("main", f"file://{installed_conf()}")
        if whole:
            from hydra.core.plugins import Plugins  # noqa: PLC0415  # its scan is what `compose` spares
            from hydra.plugins.search_path_plugin import SearchPathPlugin  # noqa: PLC0415

            for plugin in Plugins.instance().discover(SearchPathPlugin):
                cast("SearchPathPlugin", plugin()).manipulate_search_path(path)
        path.append("schema", "structured://")
        return path

    def compose(self, overrides: Sequence[Override]) -> Composition:
        """Compose in launcher's order of values, with text as it was written.

        Raises:
            NeedsHydraError: see `compose_whole`.
            HydraException: what Hydra has against it.
        """
        base, values = self.compose_groups(overrides)
        return Composition(self.apply(base.config, values), base.choices)

    def compose_groups(self, overrides: Sequence[Override]) -> tuple[Composition, list[Override]]:
        """Return what the choices of groups make, and the overrides of values that remain."""
        if any(override.is_hydra_override() for override in overrides):
            raise NeedsHydraError
        repository = Repository(self.loader.repository)
        self.loader._process_config_searchpath(self.primary, list(overrides), repository)
        try:
            defaults = create_defaults_list(
                repo=repository,
                config_name=self.primary,
                overrides_list=list(overrides),
                prepend_hydra=False,
                skip_missing=False,
            )
        except HydraException as error:
            if asks_for_hydra(repository):  # its groups were not there to be overridden
                raise NeedsHydraError from error
            raise
        if asks_for_hydra(repository):
            raise NeedsHydraError
        config = self.loader._compose_config_from_defaults_list(defaults.defaults, repository)
        OmegaConf.set_struct(config, value=True)
        choices = dict[str, Any](defaults.overrides.known_choices)
        return Composition(config, choices), defaults.config_overrides

    def groups(self, overrides: Sequence[Override]) -> Composition:
        """Return what the choices among overrides make, composed once; not to be changed.

        Raises:
            NeedsHydraError: see `compose_whole`.
            HydraException: what Hydra has against it.
        """
        if any(override.is_hydra_override() for override in overrides):
            raise NeedsHydraError
        chosen = [override for override in overrides if self.is_choice(override)]
        key = tuple(str(override.input_line) for override in chosen)
        if key not in self._groups:
            self._groups[key] = self.compose_groups(chosen)[0]
        return self._groups[key]

    def apply(self, config: DictConfig, values: Sequence[Override]) -> DictConfig:
        """Put the values into a configuration, which is changed and returned."""
        ConfigLoaderImpl._apply_overrides_to_config(list(values), config)
        restore_overrides(config, values)
        if _mentions_hydra(config):
            raise NeedsHydraError
        return config

    def is_choice(self, override: Override) -> bool:
        """Return whether an override chooses of a group; a mapping for a group is a value."""
        return self.loader.is_choice(override)

    def is_group(self, key: str) -> bool:
        """Return whether a key is a group whose choices are files."""
        return self.loader.repository.group_exists(key)

    def options(self, group: str) -> list[str]:
        """Return the names of a group's choices."""
        return self.loader.repository.get_group_options(group)

    def whole_options(self, group: str) -> list[str]:
        """Return the names of a group's choices, Hydra's own groups included."""
        return ConfigLoaderImpl(self.search_path(whole=True)).repository.get_group_options(group)

    def compose_whole(self, overrides: Sequence[Override], number: int | None = None) -> Composition:
        """Compose with Hydra's own tree, for `hydra.…` overrides and `${hydra:…}`.

        `number` is that of a sweep's member.
        """
        from hydra.core.hydra_config import HydraConfig  # noqa: PLC0415  # seldom needed
        from hydra.core.utils import JobRuntime  # noqa: PLC0415
        from hydra.types import RunMode  # noqa: PLC0415

        JobRuntime().set("name", "launcher")
        loader = HydraLoader(self.search_path(whole=True))
        words = [cast("str", override.input_line) for override in overrides]
        config = loader.load_configuration(self.primary, words, RunMode.RUN)
        if number is not None:
            with_job = {"hydra": {"job": {"id": str(number), "num": number}}}
            config.merge_with(with_job)
        HydraConfig.instance().set_config(config)
        choices = OmegaConf.to_container(config.hydra.runtime.choices)
        return Composition(config, cast("dict[str, str | None]", choices))


def asks_for_hydra(repository: CachingConfigRepository) -> bool:
    """Tell whether a file that was read sets something under `hydra`."""
    for loaded in repository.cache.values():
        if loaded is None:
            continue
        if isinstance(loaded.config, DictConfig) and "hydra" in loaded.config:
            return True
        for default in loaded.defaults_list or ():
            if isinstance(default, GroupDefault) and (default.group or "").lstrip("/").startswith("hydra/"):
                return True
    return False


def _mentions_hydra(config: DictConfig) -> bool:
    return any("${hydra" in text for text in _texts(config))


def _texts(node: Any) -> Iterator[str]:
    """Yield all texts of a configuration as they stand there, interpolations unresolved."""
    value = node_value(node)
    if isinstance(value, str):
        yield value
    for _, below in children(node):
        yield from _texts(below)
