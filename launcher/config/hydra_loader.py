"""Hydra's loader with launcher's two rules: the order of values, and text that stays as it was written.

Every way through Hydra takes this loader, so that a launch, a sweep, `--cfg` and a foreign sweeper agree.
docs/adr/0008-order-and-text-of-values.md has the reasons. Where the loader overrides Hydra's private methods,
tests/property compares its results with Hydra's own.
"""
# ruff: noqa: SLF001
# pyright: reportPrivateUsage=false

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository
from hydra.core.default_element import ConfigDefault, GroupDefault
from hydra.errors import ConfigCompositionException
from omegaconf import DictConfig, OmegaConf, flag_override
from omegaconf.errors import OmegaConfBaseException

from launcher.config.files import TextRepository, TextResult
from launcher.config.omegaconf_nodes import children, find, node_value, set_flag, split_key
from launcher.config.overrides import Parser
from launcher.config.text import drop_args, restore_file, restore_overrides, spell
from launcher.errors import ConfigError
from launcher.project import installed_conf

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hydra._internal.config_repository import IConfigRepository
    from hydra._internal.defaults_list import DefaultsList
    from hydra.core.config_search_path import ConfigSearchPath
    from hydra.core.default_element import InputDefault, ResultDefault
    from hydra.core.override_parser.types import Override
    from hydra.types import RunMode

LAUNCHER: Final = "launcher"
"""The file with every key, which a project's own config.yaml includes."""
EXPERIMENT: Final = "experiment/"

_INSTALLED, _PROJECT, _CHOICE, _EXPERIMENT = range(4)
"""From the weakest values to the strongest; the command line comes after them."""


class HydraLoader(ConfigLoaderImpl):
    """Composes as Hydra does, in launcher's order and with text kept."""

    def __init__(self, config_search_path: ConfigSearchPath) -> None:
        super().__init__(config_search_path)
        self.repository = TextRepository(config_search_path)

    def load_sweep_config(self, master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        """See Hydra's `ConfigLoader`; gives back to a job's overrides the spelling of the command line."""
        written = list[str](master_config.hydra.overrides.task)
        params = find(master_config, "hydra.sweeper.params")
        written += [
            f"{key}={node_value(node)}" for key, node in (children(params) if params is not None else ())
        ]
        return super().load_sweep_config(master_config, spell(sweep_overrides, written, Parser(self)))

    def compute_defaults_list(
        self, config_name: str | None, overrides: list[str], run_mode: RunMode
    ) -> DefaultsList:
        """See Hydra's `ConfigLoader`; `--info defaults` prints it."""
        found = super().compute_defaults_list(config_name, overrides, run_mode)
        return replace(found, defaults=_ordered(found.defaults, self.repository))

    def _load_configuration_impl(
        self,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        config = super()._load_configuration_impl(
            config_name, overrides, run_mode, from_shell, validate_sweep_overrides
        )
        parsed = map(Parser(self).parse_one, overrides)
        restore_overrides(config, [override for override in parsed if not self.is_choice(override)])
        return config

    def _parse_overrides_and_create_caching_repo(
        self, config_name: str | None, overrides: list[str]
    ) -> tuple[list[Override], CachingConfigRepository]:
        parser = Parser(self)
        parsed = [parser.parse_one(word) for word in overrides]
        repository = CachingConfigRepository(self.repository)
        self._process_config_searchpath(config_name, parsed, repository)
        return parsed, repository

    def is_choice(self, override: Override) -> bool:
        """Return whether an override chooses of a group; a mapping for a group is a value."""
        return not isinstance(override.value(), dict) and self.repository.group_exists(override.key_or_group)

    def _process_config_searchpath(
        self, config_name: str | None, parsed_overrides: list[Override], repo: CachingConfigRepository
    ) -> None:
        super()._process_config_searchpath(config_name, parsed_overrides, repo)
        loaded = repo.load_config(config_name) if config_name is not None else None
        if config_name is None or loaded is None:
            return
        if config_name != LAUNCHER and LAUNCHER not in _trunk(repo, config_name):
            file = f"{loaded.path.removeprefix('file://')}/{config_name}.yaml"
            got = "a defaults list without it" if loaded.defaults_list else "no defaults list"
            hint = "Begin the file with these lines:\ndefaults:\n  - launcher\n  - _self_"
            raise ConfigError([f"{file}: got {got}; expected one that includes launcher. {hint}"])
        if loaded.defaults_list and not any(each.is_self() for each in loaded.defaults_list):
            # Its place does not matter here, and Hydra warns where it is missing.
            loaded.defaults_list.append(ConfigDefault(path="_self_"))
        _prefer_experiment(repo, config_name, parsed_overrides)

    def _compose_config_from_defaults_list(
        self, defaults: list[ResultDefault], repo: IConfigRepository
    ) -> DictConfig:
        config = OmegaConf.create()
        with flag_override(config, "no_deepcopy_set_nodes", True):  # OmegaConf's signature
            for default in _ordered(defaults, repo):
                loaded = self._load_single_config(default=default, repo=repo)
                package = loaded.header["package"] if default.package is None else default.package
                way = tuple(split_key(package)) if package else ()
                if isinstance(loaded, TextResult) and loaded.lists_args and not way:
                    drop_args(config)
                try:
                    config.merge_with(loaded.config)
                except OmegaConfBaseException as error:
                    what = f"{type(error).__name__} raised while composing config:\n{error}"
                    raise ConfigCompositionException(f"In '{default.config_path}': {what}") from error
                if isinstance(loaded, TextResult):
                    restore_file(config, way, loaded.texts)
        _strip_defaults(config)
        return config


def _prefer_experiment(repo: CachingConfigRepository, primary: str, overrides: Sequence[Override]) -> None:
    """Let the choices of the experiment win over those of the project's config, which Hydra sees first."""
    trunk = [default for name in _trunk(repo, primary) for default in _defaults(repo, name)]
    typed = [each.value() for each in overrides if each.key_or_group == "experiment" and not each.is_delete()]
    written = [each.value for each in trunk if isinstance(each, GroupDefault) and each.group == "experiment"]
    chosen: list[Any] = [*reversed(typed), *written, None]
    names = cast("list[Any]", chosen[0]) if isinstance(chosen[0], list) else chosen[:1]
    made = {
        _group(default)
        for name in names
        if isinstance(name, str) and repo.config_exists(f"{EXPERIMENT}{name}")
        for path in _trunk(repo, f"{EXPERIMENT}{name}")
        for default in _defaults(repo, path)
        if default.is_override()
    }
    for name in _trunk(repo, primary):
        defaults = _defaults(repo, name)
        defaults[:] = [each for each in defaults if not each.is_override() or _group(each) not in made]


def _defaults(repo: IConfigRepository, path: str) -> list[InputDefault]:
    """Return the defaults list of a file, which is cached; empty if there is no such file."""
    loaded = repo.load_config(path)
    return loaded.defaults_list or [] if loaded is not None else []


def _group(default: InputDefault) -> tuple[str, str | None]:
    """Return the group that an entry of a defaults list chooses of, and its package if it is another."""
    if not isinstance(default, GroupDefault):
        return "", None
    group = (default.group or "").lstrip("/")
    usual = {None, f"_global_.{group.replace('/', '.')}"}
    return group, None if default.package in usual else default.package


def _ordered(defaults: Sequence[ResultDefault], repo: IConfigRepository) -> list[ResultDefault]:
    """Return the files, weakest values first: installed, the project's config, its choices, experiments."""
    primary = next((each.config_path for each in defaults if each.primary), None)
    trunk = set(_trunk(repo, primary)) if primary is not None else set[str]()
    parents = {each.config_path: each.parent for each in defaults}

    def level(default: ResultDefault) -> int:
        if any(path.startswith(EXPERIMENT) for path in _ancestry(default, parents)):
            return _EXPERIMENT
        path = cast("str", default.config_path)
        loaded = repo.load_config(path)
        if (
            loaded is None
            or loaded.path == f"file://{installed_conf()}"
            or not loaded.path.startswith("file://")
        ):
            return _INSTALLED
        return _PROJECT if path in trunk else _CHOICE

    return sorted(defaults, key=level)


def _ancestry(default: ResultDefault, parents: dict[str | None, str | None]) -> Iterator[str]:
    """Yield the path of a file, of the one that includes it, and so on."""
    seen: set[str] = set()
    path, above = default.config_path, default.parent
    while path is not None and path not in seen:
        yield path
        seen.add(path)
        path, above = above, parents.get(above)


def _trunk(repo: IConfigRepository, name: str) -> Iterator[str]:
    """Yield the paths of the primary file and of what it includes by name: no choices of a group."""
    yield name
    for default in _defaults(repo, name):
        if isinstance(default, ConfigDefault) and not default.is_self() and default.path is not None:
            folder = "" if default.path.startswith("/") else name.rpartition("/")[0]
            yield from _trunk(repo, f"{folder}/{default.path.lstrip('/')}".lstrip("/"))


def _strip_defaults(node: Any) -> None:
    """Remove the defaults lists that Hydra's own option classes carry."""
    if isinstance(node, DictConfig) and not node._is_missing() and not node._is_none():
        with flag_override(node, ["readonly", "struct"], False):  # OmegaConf's signature
            if node._get_flag("HYDRA_REMOVE_TOP_LEVEL_DEFAULTS"):
                set_flag(node, "HYDRA_REMOVE_TOP_LEVEL_DEFAULTS", None)
                node.pop("defaults", None)
        for _, below in children(node):
            _strip_defaults(below)
