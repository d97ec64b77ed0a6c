"""From a composed configuration to a frozen request; every problem of the way is told at once."""

from __future__ import annotations

import os
import re
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import yaml
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from launcher.config.arguments import NumberText, argv, equals_argv
from launcher.config.growth import WORDS, Growth, limit_growth
from launcher.config.hydra_arguments import words as hydra_words
from launcher.config.key_problems import error_text, keys, nested_texts
from launcher.config.omegaconf_nodes import children, is_number, node_value, target
from launcher.config.schema import GROUPS, Launch
from launcher.errors import ConfigError, Problem, nearest
from launcher.paths import expand_home
from launcher.project import Project, find_store
from launcher.secrets import conceal_all, misplaced
from launcher.spec import LaunchRequest, Resources, RunSpec
from launcher.texts import check_paths

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launcher.config.compose import Composition

STYLES: Final = {"flags": argv, "equals": equals_argv, "hydra": hydra_words}
"""How `args` becomes an argument vector."""


def resolve(composed: Composition, overrides: Sequence[str], project: Project, cwd: Path) -> LaunchRequest:
    """Return what a configuration asks for.

    Raises:
        ConfigError: with everything that has no value or no meaning.
    """
    config = composed.config
    problems = _unknown_keys(config) if any(word.startswith("+") for word in overrides) else []
    with limit_growth() as growth:
        values = _values(config, growth, problems)
    # What is no key of the configuration any more, such as a deleted group.
    gone = [field.name for field in fields(Launch) if field.name not in {*values, "example"}]
    problems += [Problem(f"~{key}", None, "a value: this key cannot be deleted") for key in gone]
    values = conceal_all(values)
    problems += misplaced(values)
    problems += nested_texts(config)
    problems += check_paths(values)
    arguments = _arguments(values, problems)
    if problems:  # no option class takes an unknown key
        raise ConfigError(problems)
    base = project.root or cwd
    options = {group: _option(config, group, composed.choices.get(group), problems) for group in GROUPS}
    if problems:
        raise ConfigError(problems)
    options = {group: conceal_all(option) for group, option in options.items()}
    for group, option in options.items():
        if hasattr(option, "located"):  # options that hold paths
            options[group] = option.located(base)
    store = find_store(values["store"], cwd)
    problems = check_paths({"store": str(store)})  # also one of LAUNCHER_STORE or the project
    if problems:
        raise ConfigError(problems)
    return LaunchRequest(
        spec=_spec(values, arguments, options, base),
        store=store,
        config=_text(composed, values),
        overrides=tuple(overrides),
        wait=values["wait"],
        dry_run=values["dry_run"],
    )


def _values(config: DictConfig, growth: Growth, problems: list[Problem]) -> dict[str, Any]:
    """Return what each key at the top holds.

    Raises:
        ConfigError: with `problems`, and with every value that is missing or leads nowhere.
    """
    values: dict[str, Any] = {}
    key = ""
    try:
        for key in map(str, config):
            if key not in {"hydra", "example"}:  # Hydra's own part is no part of a run
                values[key] = _plain_value(config, key)
        if values.get("script") is None and not values.get("command"):
            key = "example"
            _take_example(values, _plain_value(config, key))
    except OmegaConfBaseException:
        large = [Problem(key, "values that grow further", WORDS, "Let fewer values name one another")]
        raise ConfigError([*problems, *(large if growth.is_over else _resolution_problems(config))]) from None
    return values


def _spec(values: dict[str, Any], arguments: tuple[str, ...], options: dict[str, Any], base: Path) -> RunSpec:
    source = Path(os.path.normpath(base / expand_home(values["source"], "source")))
    return RunSpec(
        name=values["name"],
        source=source,
        script=_script(values["script"], source),
        command=tuple(values["command"]),
        args=arguments,
        cwd=_cwd(values["cwd"]),
        stdin=_stdin(values["stdin"]),
        resources=Resources(**{field.name: values[field.name] for field in fields(Resources)}),
        retries=values["retries"],
        env=values["env"],
        tags=values["tags"],
        description=values["description"],
        work=values["work"],
        links=tuple(os.path.normpath(link) for link in values["links"]),
        objective=values["objective"],
        snapshot_limit_mib=values["snapshot_limit_mib"],
        **options,
    )


def _cwd(text: str | None) -> str | None:
    path = None if text is None else os.path.normpath(text) if text else text
    return None if path == os.curdir else path


def _stdin(text: str | None) -> str | None:
    return os.path.normpath(expand_home(text, "stdin")) if text else text


def _script(script: str | None, source: Path) -> str | None:
    """Return a script relative to the source, of which a run has a copy."""
    path = expand_home(script, "script") if script and script.startswith(("/", "~")) else None
    if path is None:
        return script
    if path.is_relative_to(source):
        return str(path.relative_to(source))
    inside = path.resolve().is_relative_to(source.resolve())
    return str(path.resolve().relative_to(source.resolve())) if inside else str(path)


def _arguments(values: dict[str, Any], problems: list[Problem]) -> tuple[str, ...]:
    style = values.get("args_style")
    if style not in STYLES:
        if style is not None:  # told as a deleted key
            problems.append(Problem("args_style", style, ", ".join(STYLES), nearest(style, list(STYLES))))
        return ()
    return STYLES[style](values.get("args") or {}, problems)


def _take_example(values: dict[str, Any], example: dict[str, Any]) -> None:
    """Let the example of the choices run, where nothing else was named."""
    values["script"] = example["script"]
    values["args"] = {**example["args"], **(values.get("args") or {})}


def _plain_value(config: DictConfig, key: str) -> Any:
    value: Any = config[key]
    if isinstance(value, (DictConfig, ListConfig)):
        plain = OmegaConf.to_container(value, resolve=True, enum_to_str=True, throw_on_missing=True)
        return _mark_numbers(value, plain) if key in {"args", "example"} else plain
    return value


def _mark_numbers(node: Any, plain: Any) -> Any:
    """Return arguments with the texts marked that were written as numbers."""
    node = target(node)
    if isinstance(plain, dict):
        below = dict(children(node))
        return {key: _mark_numbers(below[key], value) for key, value in cast("dict[Any, Any]", plain).items()}
    if isinstance(plain, list):
        items = [item for _, item in children(node)]
        return [_mark_numbers(*pair) for pair in zip(items, cast("list[Any]", plain), strict=True)]
    return NumberText(plain) if isinstance(plain, str) and is_number(node) else plain


def _option(config: DictConfig, group: str, choice: str | None, problems: list[Problem]) -> Any:
    """Return a group's option object; a user's choice has it from the installed one below."""
    node: Any = config[group]
    if isinstance(node, DictConfig) and is_dataclass(OmegaConf.get_type(node)):
        try:
            return OmegaConf.to_object(node)
        except (ValueError, TypeError) as error:
            problems.append(Problem(group, choice, "options that fit together", str(error)))
            return None
    problems.append(
        Problem(
            group,
            choice,
            "a choice",
            f"Let {group}/{choice}.yaml begin with an installed choice: `defaults: [NAME]`",
        )
    )
    return None


def _unknown_keys(config: DictConfig) -> list[Problem]:
    """Return the keys that were added with `+` and that nothing reads."""
    problems: list[Problem] = []
    known = keys(config)

    def visit(node: DictConfig, prefix: str) -> None:
        option = OmegaConf.get_type(node)
        names = {field.name for field in fields(option)} if is_dataclass(option) else None
        for name, below in children(node):
            key = f"{prefix}{name}"
            if key == "hydra":
                continue
            if names is not None and name not in names:
                choices = [f"{prefix}{field}" for field in names]
                hint = nearest(key, choices) or nearest(key, [other for other in known if other != key])
                given = OmegaConf.to_container(below) if OmegaConf.is_config(below) else node_value(below)
                problems.append(Problem(key, _mark_numbers(below, given), "a known key", hint))
            elif isinstance(below, DictConfig):
                visit(below, f"{key}.")

    visit(config, "")
    return problems


def _resolution_problems(config: DictConfig) -> list[Problem]:
    """Return every value that is still missing, or whose interpolation leads nowhere."""
    problems: list[Problem] = []

    def visit(node: DictConfig | ListConfig, prefix: str) -> None:
        for name, below in children(node):
            key = f"{prefix}{name}" if isinstance(node, DictConfig) else f"{prefix[:-1]}[{name}]"
            if key == "hydra":
                continue
            if isinstance(node_value(below), (dict, list)):
                visit(below, f"{key}.")
                continue
            try:
                _ = node[name]
            except MissingMandatoryValue:
                problems.append(Problem(key, "???", "a value", f"Give it with {key}=…"))
            except OmegaConfBaseException as error:
                problems.append(
                    Problem(key, node_value(below), "a value that can be resolved", error_text(error))
                )

    visit(config, "")
    return problems


_Base: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # the C one is ten times as fast


class _Dumper(_Base):
    """Quotes the texts that OmegaConf would read as numbers and YAML 1.1 would not, such as 1e3."""


class _EscapingDumper(yaml.SafeDumper):
    """The same, also for texts that UTF-8 cannot hold."""


_DUMPERS: tuple[Any, ...] = (_Dumper, _EscapingDumper)
for _dumper in _DUMPERS:
    _dumper.add_implicit_resolver(
        "tag:yaml.org,2002:float",
        re.compile(r"[-+]?\d[\d_]*(\.[\d_]*)?([eE][-+]?\d+)?$"),
        list("-+0123456789"),
    )


def _write_number(dumper: Any, number: NumberText) -> yaml.ScalarNode:
    """Return a number as it was written: without quotes, where YAML reads a number as well."""
    return dumper.represent_scalar(dumper.resolve(yaml.ScalarNode, str(number), (True, False)), str(number))


for _dumper in _DUMPERS:
    _dumper.add_representer(NumberText, _write_number)


def _text(composed: Composition, values: dict[str, Any]) -> str:
    """Return the configuration as YAML, with the choices in its first line."""
    choices = " ".join(f"{group}={choice}" for group, choice in sorted(composed.choices.items()) if choice)
    try:
        body: Any = yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    except UnicodeEncodeError:  # bytes that are no UTF-8, which Python's own dumper escapes: "\\udce9"
        body = yaml.dump(values, Dumper=_EscapingDumper, sort_keys=False, allow_unicode=True)
    return f"# {choices}\n{body}"
