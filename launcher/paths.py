"""Every file name of the store, of a run folder and of the cache, in one place.

Named tuples: `runs list` imports this, and `dataclasses` would be a tenth of its time.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from launcher.errors import ConfigError, Problem, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator


LATEST = "latest"
"""What commands take for the newest run or sweep; no experiment has this name."""


def expand_home(text: str | os.PathLike[str], key: str = "path") -> Path:
    """Return a path in which `~` and `~user` are the folders that they stand for in a shell.

    Raises:
        ConfigError: there is no such user.
    """
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        name = os.fspath(text).partition("/")[0]
        hint = f"For a folder of that name write ./{os.fspath(text)}"
        raise ConfigError([Problem(key, os.fspath(text), f"{name} to be a user's home", hint)]) from error


def cache_root() -> Path:
    """Return the folder of what can be made again: environments, wheels, downloads, indexes."""
    given = os.environ.get("LAUNCHER_CACHE")
    if given:
        return expand_home(given, "LAUNCHER_CACHE").absolute()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return expand_home(base, "XDG_CACHE_HOME").absolute() / "launcher"


def secrets_file() -> Path:
    """Return the file that secrets are taken from where the shell has no variable of their name."""
    given = os.environ.get("LAUNCHER_SECRETS")
    if given:
        return expand_home(given, "LAUNCHER_SECRETS").absolute()
    base = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return expand_home(base, "XDG_CONFIG_HOME").absolute() / "launcher" / "secrets"


class RunFolder(NamedTuple):
    """A run's folder, `<store>/runs/<experiment>/<number>`."""

    root: Path

    @property
    def id(self) -> str:
        """`mnist/42`."""
        return f"{self.root.parent.name}/{self.root.name}"

    @property
    def submit(self) -> Path:
        """What the launcher recorded; a number is a run only once this exists."""
        return self.root / "submit.json"

    @property
    def recorded(self) -> bool:
        """Whether this is a run, even if its records are damaged."""
        return os.path.lexists(self.submit) or os.path.lexists(self.end)

    @property
    def spec(self) -> Path:
        """The frozen spec with its plan."""
        return self.root / "spec.json"

    @property
    def config(self) -> Path:
        """The frozen configuration."""
        return self.root / "config.yaml"

    @property
    def source(self) -> Path:
        """Link to the snapshot of the source."""
        return self.root / "source"

    @property
    def cancel(self) -> Path:
        """Exists once somebody asked for the end of the run."""
        return self.root / "cancel.json"

    @property
    def end(self) -> Path:
        """The run's last word, created exclusively."""
        return self.root / "end.json"

    @property
    def tags(self) -> Path:
        """Labels that replace those of the spec once somebody changed them."""
        return self.root / "tags.json"

    @property
    def manifest(self) -> Path:
        """Sizes, times and hashes of the files that the run left."""
        return self.root / "manifest.json"

    @property
    def returned(self) -> Path:
        """What the task of a Hydra app returned."""
        return self.root / "return.json"

    @property
    def outputs(self) -> Path:
        """What the script wrote under ./outputs."""
        return self.root / "outputs"

    @property
    def logs(self) -> Path:
        """Logs of the processes, and what the script wrote under ./logs."""
        return self.root / "logs"

    @property
    def metrics(self) -> Path:
        """Metrics, one file a process."""
        return self.root / "metrics"

    def attempt(self, number: int) -> Path:
        """Return the folder of the records of one attempt."""
        return self.root / "attempts" / str(number)

    def attempt_state(self, number: int) -> Path:
        """Return the record that the attempt's agent 0 keeps."""
        return self.attempt(number) / "state.json"

    def attempt_environment(self, number: int) -> Path:
        """Return what the attempt's job built, where that was left to it."""
        return self.attempt(number) / "environment.json"

    def attempt_lost(self, number: int) -> Path:
        """Return where it is noted that an attempt's job was requeued without a word of its agent."""
        return self.attempt(number) / "lost.json"

    def attempt_logs(self, number: int) -> Path:
        """Return where the logs of one attempt are: `logs` for the first, `logs/attempt-k` after."""
        return self.logs if number == 0 else self.logs / f"attempt-{number}"

    def attempt_log(self, number: int, name: str) -> tuple[Path, Path]:
        """Return the two paths of a process's log: while the attempt runs, and from then on."""
        return self.attempt(number) / "logs" / name, self.attempt_logs(number) / name

    def attempts(self) -> list[int]:
        """Return the numbers of the attempts that were started, in order."""
        try:
            names = os.listdir(self.root / "attempts")
        except OSError:  # `read_records` reports what is no folder
            return []
        return sorted(int(name) for name in names if name.isascii() and name.isdigit())


class SweepFolder(NamedTuple):
    """A sweep's folder, `<store>/sweeps/<id>`."""

    root: Path

    @property
    def id(self) -> str:
        """`87232ef5358e`."""
        return self.root.name

    @property
    def record(self) -> Path:
        """What was asked for, and the members; a sweep exists once this does."""
        return self.root / "sweep.json"

    def resumption(self, number: int) -> Path:
        """Return the record of the resumption of that number, counted from 1."""
        return self.root / f"resume-{number}.json"


class StoreFolder(NamedTuple):
    """The store's folder."""

    root: Path

    @property
    def identity(self) -> Path:
        """What tells this store from another one at the same path."""
        return self.root / "store.json"

    @property
    def runs(self) -> Path:
        """Experiments, each with its numbered runs."""
        return self.root / "runs"

    @property
    def snapshots(self) -> Path:
        """Read-only source trees by content hash."""
        return self.root / "snapshots"

    @property
    def agents(self) -> Path:
        """The agent's code by content hash."""
        return self.root / "agents"

    @property
    def sweeps(self) -> Path:
        """Records of multiruns."""
        return self.root / "sweeps"

    def sweep(self, name: str) -> SweepFolder:
        """Return the folder of one sweep."""
        return SweepFolder(self.sweeps / name)

    def experiment(self, name: str) -> Path:
        """Return the folder of one experiment's runs."""
        return self.runs / name

    def run(self, name: str, number: int) -> RunFolder:
        """Return the folder of one run."""
        return RunFolder(self.runs / name / str(number))

    def experiments(self) -> list[str]:
        """Return the names of the experiments."""
        try:
            found = (entry for entry in os.scandir(self.runs) if not entry.name.startswith("."))
            return sorted(entry.name for entry in found if os.path.isdir(entry))  # noqa: PTH112  # ten times as fast
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StoreError(f"{self.runs}: it cannot be listed: {error.strerror}") from error

    def numbers(self, name: str) -> Iterator[int]:
        """Yield the numbers taken in an experiment, in no order; not all are runs."""
        try:
            names = os.listdir(self.experiment(name))
        except (FileNotFoundError, NotADirectoryError):
            return
        yield from (int(entry) for entry in names if entry.isascii() and entry.isdigit())
