"""What is wrong in the files of a configuration, each with its file and line.

Asked only after a composition failed: its files are read, and put together, once more.
"""
# ruff: noqa: SLF001
# pyright: reportPrivateUsage=false

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from hydra._internal.defaults_list import create_defaults_list
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from launcher.config.compose import Repository, asks_for_hydra
from launcher.config.conf_defaults import defaults_problems, loop
from launcher.config.conf_text import ConfText, parse
from launcher.config.hydra_loader import HydraLoader
from launcher.config.key_problems import error_text, unknown_key_problem, wrong_value
from launcher.config.omegaconf_nodes import children, is_closed, node_value
from launcher.config.schema import GROUPS
from launcher.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hydra.core.default_element import ResultDefault
    from hydra.core.override_parser.types import Override
    from hydra.plugins.config_source import ConfigResult

    from launcher.config.compose import Composer

BASE: Final = "launcher"
"""The installed file with the keys of a launch, and what it begins with."""
BASE_SCHEMA: Final = "schema/launch"


class _Recorder(Repository):
    """Keeps the names of the files that are read, in order."""

    def __init__(self, delegate: Any) -> None:
        super().__init__(delegate)
        self.names: list[str] = []

    def load_config(self, config_path: str) -> ConfigResult | None:
        """See `IConfigRepository.load_config`."""
        self.names.append(config_path.removesuffix(".yaml"))
        return super().load_config(config_path)


def file_problems(composer: Composer, choices: Sequence[Override]) -> list[Problem | str]:
    """Return what is wrong in the files that these choices read; nothing if the reason is not known."""
    reads = _Reads(composer, choices)
    reason = error_text(reads.error) if reads.error is not None else ""
    texts = reads.texts()
    problems: list[Problem | str] = []
    for text in texts:
        problems += text.problems or defaults_problems(composer, text, reason)
    if problems:
        return problems
    if isinstance(reads.error, RecursionError):
        return [loop(texts, reads.recorder.names)]
    if reads.error is None:
        return list(reads.misfits(texts))
    return _missing_base(texts, reads.recorder.names)


def _missing_base(texts: Sequence[ConfText], names: Sequence[str]) -> list[Problem | str]:
    """Return the problem of a project file that hides the keys of a launch."""
    if BASE_SCHEMA in names:
        return []
    for text in texts:
        if text.name == BASE:
            return [f"{text.place()}: this file takes the place of the installed {BASE}.yaml. Rename it"]
    return []


class _Reads:
    """The files that a composition reads, and the error that ended it."""

    def __init__(self, composer: Composer, choices: Sequence[Override]) -> None:
        self.composer = composer
        self.loader = composer.loader
        self.error: Exception | None = None
        self.defaults: list[ResultDefault] = []
        self._read(choices, whole=False)
        if asks_for_hydra(self.recorder):
            self.loader = HydraLoader(composer.search_path(whole=True))
            self._read(choices, whole=True)

    def _read(self, choices: Sequence[Override], *, whole: bool) -> None:
        self.error = None
        self.recorder = _Recorder(self.loader.repository)
        try:
            self.loader._process_config_searchpath(self.composer.primary, list(choices), self.recorder)
            self.defaults = create_defaults_list(
                repo=self.recorder,
                config_name=self.composer.primary,
                overrides_list=list(choices),
                prepend_hydra=whole,
                skip_missing=False,
            ).defaults
        except Exception as error:  # noqa: BLE001  # whatever ended the composition ends it here
            self.error = error

    def texts(self) -> list[ConfText]:
        """Return the project's files among them, each once."""
        conf = self.composer.conf
        if conf is None:
            return []
        names = dict.fromkeys(self.recorder.names)
        return [parse(conf, name) for name in names if (conf / f"{name}.yaml").exists()]

    def misfits(self, texts: Sequence[ConfText]) -> Iterator[Problem | str]:
        """Yield what does not fit into the configuration that the files before it make."""
        config = OmegaConf.create()
        own = {text.name: text for text in texts}
        for default in self.defaults:
            loaded: Any = self.loader._load_single_config(default, self.recorder)
            package = tuple((default.package or "").split(".")) if default.package else ()
            for parts, value in _merge(config, loaded.config):
                if default.config_path in own:
                    yield _misfit(config, own[default.config_path], package, parts, value)


def _merge(
    config: DictConfig, part: Any, parts: tuple[Any, ...] = ()
) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Merge a part at a key into a configuration; yield the keys below that do not fit, with their values."""
    whole = part
    for name in reversed(parts):
        whole = {name: whole}
    try:
        config.merge_with(whole)
    except (OmegaConfBaseException, ValueError, TypeError):
        if not isinstance(part, DictConfig) or not isinstance(_node(config, parts), DictConfig):
            yield parts, part
            return
        for name, below in list(children(part)):
            yield from _merge(config, below, (*parts, name))


def _misfit(
    config: DictConfig, text: ConfText, package: tuple[str, ...], parts: tuple[Any, ...], node: Any
) -> Problem | str:
    """Return the problem of a key of a file whose value does not fit."""
    if package and _node(config, package) is None:
        return text.package_problem()
    value: Any = OmegaConf.to_container(node) if OmegaConf.is_config(node) else node_value(node)
    key, place = ".".join(map(str, parts)), text.place(*parts[len(package) :])
    if "." in str(parts[-1]):
        above, _, last = str(parts[-1]).rpartition(".")
        problem = Problem(
            key, value, "keys without dots", f"Write `{above}:`, and `{last}: …` indented below it"
        )
    elif _node(config, parts) is None and is_closed(_node(config, parts[:-1])):
        problem = unknown_key_problem(config, key, value)
    else:
        problem = wrong_value(config, key, value)
    if key in GROUPS and isinstance(value, str):
        hint = f"A choice stands in the defaults: `- override /{key}: {value}`"
        problem = Problem(key, value, "a mapping of its keys", hint)
    return problem._replace(key=f"{place}: {problem.key}")


def _node(config: DictConfig, parts: Sequence[Any]) -> Any:
    node: Any = config
    for part in parts:
        node = dict(children(node)).get(part)
    return node
