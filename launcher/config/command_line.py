"""What the words of a command line are, before Hydra sees any of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from launcher.errors import ConfigError, nearest
from launcher.secrets import conceal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

VERSION = ("--version",)
MULTIRUN = ("-m", "--multirun")
RUN = ("-r", "--run")
CONF = ("--config-dir", "-cd")
PRIMARY = ("--config-name", "-cn")
HYDRA = (  # what Hydra's own main answers
    "-h", "--help", "--hydra-help", "-c", "--cfg", "--resolve", "-p", "--package",
    "-i", "--info", "-sc", "--shell-completion", "--experimental-rerun",
)  # fmt: skip
HYDRA_VALUED = ("-c", "--cfg", "-p", "--package", "-i", "--info", "--experimental-rerun")


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandLine:
    """The words of a launch, sorted."""

    overrides: tuple[str, ...] = ()
    multirun: bool = False
    version: bool = False
    conf: str | None = None
    """A folder that is searched before the installed groups."""
    primary: str = "config"
    hydra: tuple[str, ...] = ()
    """Flags that ask Hydra itself for something."""

    @property
    def plugins(self) -> bool:
        """Whether somebody else's sweeper or launcher is wanted."""
        ours = {"hydra/sweeper=launcher", "hydra/launcher=launcher"}
        theirs = ("hydra/sweeper=", "hydra/launcher=")
        return any(word.startswith(theirs) and word not in ours for word in self.overrides)


def parse(words: Sequence[str]) -> CommandLine:
    """Sort the words of a command line.

    Raises:
        ConfigError: for every flag that is unknown or lacks its value.
    """
    overrides: list[str] = []
    hydra: list[str] = []
    problems: list[str] = []
    conf, primary, multirun, version = None, "config", False, False
    for flag, value in _pairs(words, problems):
        if flag is None:
            overrides.append(conceal(value, "${{secret:{}}}"))
        elif flag in MULTIRUN:
            multirun = True
        elif flag in VERSION:
            version = True
        elif flag in CONF:
            conf = value
        elif flag in PRIMARY:
            primary = value.removesuffix(".yaml")
        elif flag in HYDRA:
            hydra += [flag, value] if flag in HYDRA_VALUED else [flag]
    if problems:
        raise ConfigError(problems)
    return CommandLine(
        overrides=tuple(overrides),
        multirun=multirun or "hydra.mode=MULTIRUN" in overrides,
        version=version,
        conf=conf,
        primary=primary,
        hydra=tuple(hydra),
    )


def _pairs(words: Sequence[str], problems: list[str]) -> Iterator[tuple[str | None, str]]:
    """Yield each flag with its value, and each override with None before it."""
    rest = iter(words)
    valued = (*CONF, *PRIMARY, *HYDRA_VALUED)
    known = (*VERSION, *MULTIRUN, *RUN, *HYDRA, *CONF, *PRIMARY)
    for word in rest:
        if not word.startswith("-"):
            yield None, word
            continue
        flag, equal, value = word.partition("=")
        if flag not in known:
            problems.append(f"{word}: this flag is unknown. {_unknown_flag(flag, value, known)}")
        elif flag not in valued:
            yield flag, ""
        elif equal:
            yield flag, value
        else:
            following = next(rest, None)
            if following is None:
                problems.append(f"{flag}: a value must follow")
            else:
                yield flag, following


def _unknown_flag(flag: str, value: str, known: Sequence[str]) -> str:
    """Return what to write in place of a flag that is none: a launch takes words with `=`."""
    from launcher.config.schema import Launch  # noqa: PLC0415  # only for what went wrong

    name = flag.lstrip("-")
    key = name.replace("-", "_")
    if key.partition(".")[0] in Launch.__dataclass_fields__:
        return f"Write {key}={value or '…'}"
    return nearest(flag, known, 0.75) or f"An argument of the script is args.{name}={value or '…'}"
