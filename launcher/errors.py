"""The exceptions that a user can meet, as one tree.

LauncherError            exit code 1: what was asked for could not be done, or only in part
├── ConfigError          exit code 2, carries every problem found
├── NotFoundError        exit code 2, a run, file or model that is not in the store
├── StoreError           exit code 2, the store cannot be used, or a file is in the way
│   └── DamageError      a record of the store is damaged, or a newer version wrote it
├── DeleteError          exit code 1 if other runs were deleted, else 2
├── SubmitError          exit code 1, runs were recorded and could not be handed over
├── EngineError          exit code 1, the container engine cannot be reached or refuses
└── BuildError           exit code 1, an environment could not be built

Exit code 2 means that nothing was written or started: docs/runs.md has the table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

MINIMUM = 2
"""Characters of a word above which it may be the beginning of what was meant."""


LONGEST = 500
"""Characters of what was given that a message shows."""


class Problem(NamedTuple):
    """One thing that is wrong in a configuration, told so that it can be mended."""

    key: str
    given: object
    expected: str
    hint: str = ""

    def __str__(self) -> str:
        text = f"{self.key}: got {_shown(self.given)}; expected {self.expected}"
        return _without_credentials(f"{text}. {self.hint}" if self.hint else text)


def _without_credentials(text: str) -> str:
    if "://" not in text:
        return text
    from launcher.credentials import hide  # noqa: PLC0415  # few messages have an address

    return hide(text)


def _shown(given: object) -> str:
    """Return what was given, of what is long its beginning."""
    text = _without_credentials(repr(given))
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text):,} characters)"


def nearest(word: str, choices: Sequence[str], cutoff: float = 0.6) -> str:
    """Return a hint that names the choice closest to `word`, upper and lower case alike, or nothing."""
    from difflib import get_close_matches  # noqa: PLC0415  # only for what went wrong

    by_lower = {choice.lower(): choice for choice in reversed(choices)}
    found = get_close_matches(word.lower(), list(by_lower), n=1, cutoff=cutoff)
    if not found and len(word) > MINIMUM:
        found = [lower for lower in by_lower if lower.startswith(word.lower())][:1]
    return f"Did you mean {by_lower[found[0]]}?" if found else ""


class LauncherError(Exception):
    """Anything that this package tells a user in one message, without a traceback."""

    exit_code = 1

    def __str__(self) -> str:
        return _without_credentials(super().__str__())


class ConfigError(LauncherError):
    """Bad input; nothing was written or started."""

    exit_code = 2

    def __init__(self, problems: Sequence[Problem | str]) -> None:
        self.problems = tuple(problems)
        super().__init__(self.problems)

    def __str__(self) -> str:
        return "\n".join(_without_credentials(str(problem)) for problem in self.problems)


class NotFoundError(LauncherError):
    """The store does not hold what was asked for."""

    exit_code = 2


class StoreError(LauncherError):
    """The store cannot be read or written."""

    exit_code = 2


class DamageError(StoreError):
    """A record that is needed cannot be used; the message has the file and the field."""


class DeleteError(LauncherError):
    """Some runs could not be deleted; carries every problem found."""

    def __init__(self, problems: Sequence[str], exit_code: int) -> None:
        self.problems = tuple(problems)
        self.exit_code = exit_code
        super().__init__("\n".join(problems))


class SubmitError(LauncherError):
    """Recorded runs could not be handed over; the message carries the scheduler's words."""


class EngineError(LauncherError):
    """The container engine cannot be reached, or refuses; the message carries its words."""


class BuildError(LauncherError):
    """An environment could not be built; the message carries the tool's last lines."""
