"""Whatever is damaged in a store, commands report it or answer right, and other runs stay as they were.

A case damages one file of a store in one way and runs every command on it. `EXAMPLES` sets how many
cases run, `SEED` where they begin.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import pytest

from launcher.__main__ import main
from launcher.paths import StoreFolder
from launcher.store import records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EXAMPLES = int(os.environ.get("EXAMPLES", "20"))
SEED = int(os.environ.get("SEED", "0")) or random.SystemRandom().randrange(1 << 30)

SCRIPT = "import sys; print('so far'); sys.exit(len(sys.argv) > 1 and int(sys.argv[-1]))"

VALUES: list[Any] = [
    None,
    True,
    -1,
    0,
    10**400,
    1.5,
    "",
    "x",
    "a\0b",
    "../../../x",
    [],
    {},
    [None],
    [[]],
    {"x": 1},
]


class Case(NamedTuple):
    """One file, and what is done to it."""

    path: str
    """Relative to the store."""
    how: str
    seed: int

    @property
    def is_record(self) -> bool:
        """Whether commands must notice: it is what they read to say what a run or a sweep is.

        A record that somebody wrote without a checksum, and that makes sense, is believed.
        """
        name = self.path.rpartition("/")[2]
        if self.how == "type" or (name, self.how) == ("end.json", "gone"):  # the attempt's record has it too
            return False
        if self.path.startswith("sweeps/"):
            return name.startswith(("sweep", "resume"))
        names = {"submit.json", "spec.json", "end.json", "config.yaml", "state.json"}
        return self.path.startswith("runs/") and name in names

    def damage(self, store: Path) -> None:
        path, chance = store / self.path, random.Random(self.seed)  # noqa: S311  # repeatable, not secret
        WAYS[self.how](path, chance)


def _bytes(change: Callable[[bytes, random.Random], bytes]) -> Callable[[Path, random.Random], None]:
    def act(path: Path, chance: random.Random) -> None:
        data = change(path.read_bytes(), chance)
        path.chmod(0o600)
        path.write_bytes(data)

    return act


def _fixed(data: bytes) -> Callable[[Path, random.Random], None]:
    return _bytes(lambda _, __: data)


def _flipped(data: bytes, chance: random.Random) -> bytes:
    if not data:
        return b"\0"
    at = chance.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :]


def _mistyped(data: bytes, chance: random.Random) -> bytes:
    """Put a value of another type or range somewhere; without the checksum, as an editor would."""
    known = _fields_of(data)
    places: list[tuple[Any, Any]] = []

    def collect(value: Any) -> None:
        pairs: list[tuple[Any, Any]] = []
        if isinstance(value, dict):
            pairs = list(cast("dict[Any, Any]", value).items())
        elif isinstance(value, list):
            pairs = list(enumerate(cast("list[Any]", value)))
        for key, item in pairs:
            places.append((cast("Any", value), key))
            collect(item)

    collect(known)
    if not places:
        return b"null"
    holder, key = chance.choice(places)
    holder[key] = chance.choice(VALUES)
    return json.dumps(known).encode()


def _edited(data: bytes, chance: random.Random) -> bytes:
    """Do the same, but leave the checksum as it was."""
    head, found, end = data.rpartition(b',"crc32"')
    changed = _mistyped(data, chance)
    return changed[:-1] + found + end if head else changed + b" "


def _newer(data: bytes, _: random.Random) -> bytes:
    return json.dumps({**_fields_of(data), "schema": 99, "launcher": "9.0"}).encode()


def _fields_of(data: bytes) -> dict[str, Any]:
    """Return the fields of a record without its checksum; none for another file."""
    with suppress(ValueError):
        record = json.loads(data)
        if isinstance(record, dict):
            return {key: value for key, value in cast("dict[str, Any]", record).items() if key != "crc32"}
    return {}


def _instead(make: Callable[[Path], object]) -> Callable[[Path, random.Random], None]:
    def act(path: Path, _: random.Random) -> None:
        path.unlink()
        make(path)

    return act


WAYS: dict[str, Callable[[Path, random.Random], None]] = {
    "empty": _fixed(b""),
    "cut": _bytes(lambda data, chance: data[: chance.randrange(len(data) or 1)]),
    "flip": _bytes(_flipped),
    "binary": _bytes(lambda _, chance: chance.randbytes(200)),
    "zeros": _bytes(lambda data, _: bytes(len(data))),
    "null": _fixed(b"null"),
    "list": _fixed(b"[]"),
    "nothing": _fixed(b"{}"),
    "deep": _fixed(b"[" * 100_000),
    "type": _bytes(_mistyped),
    "edit": _bytes(_edited),
    "newer": _bytes(_newer),
    "gone": _instead(lambda _: None),
    "folder": _instead(lambda path: path.mkdir()),
    "loop": _instead(lambda path: path.symlink_to(path.name)),
}


class Shown(NamedTuple):
    """What a command printed."""

    code: int
    out: str
    err: str


class Lab:
    """A store with runs of every kind, made once, and copies of it to damage."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = folder / "store"
        self.whole = folder / "whole"
        source = folder / "source"
        source.mkdir()
        (source / "script.py").write_text(SCRIPT)
        (source / "other.py").write_text("x = 1\n")
        line = [
            "framework=python",
            "environment=current",
            "data=none",
            f"source={source}",
            "script=script.py",
        ]
        for words in (["name=a"], ["name=a", "args.x=3", "tags.k=v"], ["-m", "name=s", "args.x=0,4"]):
            done = subprocess.run(
                [sys.executable, "-m", "launcher", *line, *words], capture_output=True, check=False
            )
            assert done.returncode in {0, 1}, done.stderr
        self.sweep = next((self.store / "sweeps").iterdir()).name
        self._add_live()
        self.store.rename(self.whole)

    def _add_live(self) -> None:
        """Add a run that goes on as long as this process does."""
        old, new = StoreFolder(self.store).run("a", 1), StoreFolder(self.store).run("live", 1)
        new.root.mkdir(parents=True)
        for path in (old.spec, old.config):
            shutil.copy(path, new.root)
        (new.root / "source").symlink_to(old.source.readlink())
        submit = {**(records.read(old.submit) or {}), "id": new.id, "owner": records.owner()}
        records.write(new.submit, submit)

    def restore(self) -> None:
        """Put the whole store back."""
        if self.store.exists():
            subprocess.run(["rm", "-rf", str(self.store)], check=True)
        subprocess.run(["cp", "-a", str(self.whole), str(self.store)], check=True)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("damage")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAUNCHER_STORE", str(folder / "store"))
        patch.setenv("LAUNCHER_CACHE", str(folder / "cache"))
        patch.chdir(folder)
        yield Lab(folder)


def files(store: Path) -> list[str]:
    found = [Path(parent, name) for parent, _, names in os.walk(store) for name in names]
    return sorted(str(path.relative_to(store)) for path in found if not path.is_symlink())


def cases(lab: Lab, count: int) -> Iterator[Case]:
    chance = random.Random(SEED)  # noqa: S311  # repeatable, not secret
    paths = files(lab.whole)
    # Records by far outweigh the rest: that is where a wrong answer may come from.
    weights = [5 if path.endswith((".json", ".yaml")) else 1 for path in paths]
    for path in chance.choices(paths, weights, k=count):
        yield Case(path, chance.choice(list(WAYS)), chance.randrange(1 << 30))


def read_commands(run: str, sweep: str) -> list[list[str]]:
    lines = [
        "runs list --json -a", "runs list -a", "runs show RUN", "runs show --json RUN",
        "runs show --config RUN", "runs logs RUN", "runs files --json RUN", "runs files RUN",
        "sweeps list --json", "sweeps list",
        "sweeps show --json SWEEP", "sweeps show SWEEP", "env list", "runs wait --timeout 0.1 RUN",
        "sweeps wait --timeout 0.1 SWEEP",
    ]  # fmt: skip
    return [line.replace("RUN", run).replace("SWEEP", sweep).split() for line in lines]


def run_of(path: str) -> str:
    parts = path.split("/")
    return f"{parts[1]}/{parts[2]}" if parts[0] == "runs" else "a/2"


def steady(text: str) -> str:
    """Return an output without the durations, which grow while a run goes on."""
    return re.sub(r"\b\d+(\.\d+)? (s|min|h)\b", "", text)


def rows(text: str) -> dict[str, Any]:
    return {row["id"]: row for row in json.loads(text)}


class Trial:
    """One case: its store, and what commands print."""

    def __init__(self, lab: Lab, capfd: pytest.CaptureFixture[str]) -> None:
        self._lab = lab
        self._capfd = capfd
        self.count = 0

    def say(self, *words: str) -> Shown:
        self._capfd.readouterr()
        try:
            code = main(words)
        except SystemExit as end:
            code = int(end.code or 0)
        sys.stdout.flush()
        out, err = self._capfd.readouterr()
        self.count += 1
        assert "Traceback" not in err.replace("Traceback (most", "" if "so far" in out else "Traceback (most")
        return Shown(code, out, err)

    def check(self, case: Case, expected: dict[tuple[str, ...], Shown]) -> None:
        """Damage a copy of the store and judge what every command says."""
        lab = self._lab
        lab.restore()
        if case.seed % 2:
            self.say("runs", "list")  # so that it remembers what was there
        case.damage(lab.store)
        run, path = run_of(case.path), str(lab.store / case.path)
        for words in read_commands(run, lab.sweep):
            shown = self.say(*words)
            whole = expected[(run, *words)]
            if words[:3] == ["runs", "list", "--json"]:
                self._judge_rows(case, rows(shown.out), rows(whole.out))
            elif not case.is_record or (shown.code, steady(shown.out)) == (whole.code, steady(whole.out)):
                continue
            else:
                said = shown.out + shown.err
                gone = "no such run" in said or "no record of such a sweep" in said
                of_run = words[0] == "runs" and words[1] != "list"
                assert (
                    path in said
                    or "Damaged" in said
                    or (case.how == "gone" and (gone or words[1] == "list"))
                    or "sweep" in words[0]
                ), words
                assert shown.code or not of_run, words
        self._judge_rerun(case, run, path)

    def _judge_rows(self, case: Case, found: dict[str, Any], whole: dict[str, Any]) -> None:
        own = run_of(case.path) if case.path.startswith("runs/") else ""
        others = {name: row for name, row in whole.items() if name != own}
        assert {name: row for name, row in found.items() if name != own} == others
        if not case.is_record or not own:
            return
        row = found.get(own)
        if row is None:
            assert case.how == "gone", "the run has vanished from the list"
            return
        named = [each["file"] for each in row["damage"]]
        same = {**row, "ended": None} == {**whole[own], "ended": None}
        assert same or str(self._lab.store / case.path) in named

    def _judge_rerun(self, case: Case, run: str, path: str) -> None:
        """Run it again: refused with the name of the file, or the frozen run itself."""
        frozen = ("submit.json", "spec.json", "config.yaml")
        if case.seed % 16 and not case.path.startswith("snapshots/") and Path(path).name not in frozen:
            return  # it goes through, which takes half a second
        store, (name, number) = StoreFolder(self._lab.store), run.split("/")
        before = set(store.numbers(name))
        shown = self.say("runs", "rerun", "--detach", run)
        new = sorted(set(store.numbers(name)) - before)
        if new:
            again = store.run(name, new[0])
            old = StoreFolder(self._lab.whole).run(name, int(number))
            assert case.how == "type" or again.config.read_bytes() == old.config.read_bytes()
            first, second = records.read(old.spec), records.read(again.spec)
            assert first is not None
            assert second is not None
            assert case.how == "type" or {**first, "id": ""} == {**second, "id": ""}
            self.say("runs", "wait", again.id)
        elif case.how != "type" and case.path.startswith(("runs/", "snapshots/")):
            assert shown.code == 2, shown
            assert Path(path).name in shown.err or "snapshot" in shown.err or "no such run" in shown.err, (
                shown
            )
        if run.startswith("s/") and case.seed % 4 == 0:
            shown = self.say("sweeps", "resume", "--detach", self._lab.sweep)
            assert shown.code == 0 or "Damaged" in shown.err or str(self._lab.store) in shown.err, shown
            self.say("sweeps", "wait", self._lab.sweep)
        shown = self.say("runs", "delete", run)
        if shown.code:
            self.say("runs", "delete", "--force", run)
        assert run not in rows(self.say("runs", "list", "--json", "-a").out)


def test_damage_is_reported_and_hurts_nothing_else(lab: Lab, capfd: pytest.CaptureFixture[str]) -> None:
    trial = Trial(lab, capfd)
    lab.restore()
    expected = {
        (run, *words): trial.say(*words)
        for run in ("a/1", "a/2", "s/1", "s/2", "live/1")
        for words in read_commands(run, lab.sweep)
    }
    for number, case in enumerate(cases(lab, EXAMPLES)):
        try:
            trial.check(case, expected)
        except BaseException:
            print(f"case {number} of SEED={SEED}: {case}")  # noqa: T201
            raise
    with capfd.disabled():
        print(f"{EXAMPLES} corruptions, {trial.count} commands")  # noqa: T201


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to every value of a record."""
    pairs: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        pairs = list(cast("dict[Any, Any]", value).items())
    elif isinstance(value, list):
        pairs = list(enumerate(cast("list[Any]", value)))
    for key, below in pairs:
        yield (*path, key)
        yield from places(below, (*path, key))


@pytest.mark.parametrize("name", ["submit.json", "spec.json", "end.json", "attempts/0/state.json"])
def test_no_null_and_no_missing_field_of_a_record_is_a_surprise(
    lab: Lab, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    """Each field of a failed member's records: commands go on without it, or report it."""
    trial = Trial(lab, capfd)
    lab.restore()
    path = lab.store / "runs/s/2" / name
    whole = records.read(path) or {}
    lines = ("runs list -a", "runs show s/2", "runs show --json s/2", f"sweeps show {lab.sweep}")
    for way in places(whole):
        for gone in (False, True):
            changed: Any = json.loads(json.dumps(whole))
            holder: Any = changed
            for key in way[:-1]:
                holder = holder[key]
            if gone:
                del holder[way[-1]]
            else:
                holder[way[-1]] = None
            records.write(path, changed)
            for line in lines:
                trial.say(*line.split())
