"""Composition: from override texts to one configuration. The only user of Hydra's internals.

What is used of Hydra is public in spirit only, so hydra-core is pinned and
tests/property compares every result with Hydra's own composition.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra import version
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_search_path_impl import ConfigSearchPathImpl
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.core_plugins.structured_config_source import StructuredConfigSource
from hydra._internal.defaults_list import create_defaults_list
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from launcher.config import resolvers, schema

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hydra.core.override_parser.types import Override


def installed_conf() -> Path:
    """Return the folder of the groups that come with this package."""
    package = Path(__file__).resolve().parents[1]
    beside = package / "conf"  # in the wheel
    return beside if beside.is_dir() else package.parent / "conf"


@dataclass(frozen=True, slots=True)
class Composed:
    """A configuration, and which choice of every group it was made of."""

    config: DictConfig
    choices: Mapping[str, str | None]


class Composer:
    """Composes configurations of one search path."""

    def __init__(self, conf: Path | None = None, primary: str = "config") -> None:
        self.primary = primary
        version.setbase("1.3")
        for source in (FileConfigSource, StructuredConfigSource):  # spares the scan for plugins
            SourcesRegistry.instance().register(source)
        schema.register(ConfigStore.instance())
        resolvers.register()
        path = ConfigSearchPathImpl()
        if conf is not None:
            path.append("project", f"file://{conf}")
        path.append("main", f"file://{installed_conf()}")
        path.append("schema", "structured://")
        self.loader = ConfigLoaderImpl(path)
        self.parser = OverridesParser.create(config_loader=self.loader)

    def compose(self, overrides: Sequence[str]) -> Composed:
        """Compose as Hydra does, without Hydra's own part of the tree."""
        parsed: list[Override] = self.parser.parse_overrides(list(overrides))
        _, repository = self.loader._parse_overrides_and_create_caching_repo(self.primary, [])  # noqa: SLF001
        defaults = create_defaults_list(
            repo=repository,
            config_name=self.primary,
            overrides_list=parsed,
            prepend_hydra=False,
            skip_missing=False,
        )
        config = self.loader._compose_config_from_defaults_list(defaults.defaults, repository)
        OmegaConf.set_struct(config, value=True)
        ConfigLoaderImpl._apply_overrides_to_config(defaults.config_overrides, config)
        return Composed(config, dict[str, Any](defaults.overrides.known_choices))
