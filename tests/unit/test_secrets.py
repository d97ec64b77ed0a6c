"""Where values of secrets come from; none of them is in a message."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from launcher.environment import Packages
from launcher.errors import ConfigError
from launcher.paths import secrets_file
from launcher.secrets import (
    LONGEST,
    carriers,
    conceal,
    conceal_all,
    fill,
    look,
    misplaced,
    named,
    symbol,
    typed,
    values,
)
from launcher.spec import Resources

if TYPE_CHECKING:
    from pathlib import Path

HIDDEN = "hid den"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of secrets, which is there and empty."""
    path = tmp_path / "kept"
    path.touch(0o600)
    monkeypatch.setenv("LAUNCHER_SECRETS", str(path))
    for name in ("A", "B"):
        monkeypatch.delenv(name, raising=False)
    return path


def expected(reason: str, file: Path) -> dict[str, str]:
    return {"A": f"a value: the variable A of this shell, or a line A=… in {file}, {reason}"}


def test_where_the_file_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("LAUNCHER_SECRETS", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert secrets_file() == tmp_path / ".config/launcher/secrets"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    assert secrets_file() == tmp_path / "xdg/launcher/secrets"
    monkeypatch.setenv("LAUNCHER_SECRETS", "~/mine")
    assert secrets_file() == tmp_path / "mine"


def test_a_symbol_is_found_again() -> None:
    text = f"a{symbol('A')}b{symbol('B_1')}{symbol('A')}"
    assert named([text, "@{secret.}", "@{secret.a-b}", "@{data.A}"]) == ["A", "B_1"]
    assert typed(text) == "a${secret:A}b${secret:B_1}${secret:A}"
    with pytest.raises(ValueError, match=r"got 'a\.b'"):
        symbol("a.b")


def test_a_variable_comes_before_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("A=filed\nB=filed\n")
    monkeypatch.setenv("A", HIDDEN)
    assert values(["A", "B"]) == {"A": HIDDEN, "B": "filed"}
    assert (look(["A"]).file, look(["A", "B"]).file) == (None, file)
    assert carriers(["A"]) == {"SLURM_LAUNCHER_SECRET_A": HIDDEN}
    monkeypatch.setenv("A", "")
    assert values(["A"]) == {"A": "filed"}
    assert values([]) == {}


def test_the_file_is_not_looked_at_where_it_is_not_needed(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.chmod(0o644)
    monkeypatch.setenv("A", HIDDEN)
    assert values(["A"]) == {"A": HIDDEN}


LINES = {
    "A=x": "x",
    "\n# a comment\n\n  A=x \t\r\n": "x",
    "A=a=b # c": "a=b # c",
    'A="x"': '"x"',
    "A=1\nA=2": "2",
    "A=$HOME\\n'": "$HOME\\n'",
    "A=ä\udcff": "ä\udcff",
    f"A={'x' * LONGEST}": "x" * LONGEST,
}


@pytest.mark.parametrize("text", LINES)
def test_a_line_is_taken_as_it_stands(text: str, file: Path) -> None:
    file.write_bytes(os.fsencode(text))
    assert values(["A"]) == {"A": LINES[text]}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "which has no such line"),
        ("A=\n", "which has no such line"),
        ("B=hid den", "which has no such line"),
        ("\nA= hid den\nhid den\n", "whose line 3 is not NAME=value (of at most 65536 bytes)"),
        ("A = hid den", "whose line 1 is not NAME=value (of at most 65536 bytes)"),
        ("export A=hid den", "whose line 1 is not NAME=value (of at most 65536 bytes)"),
        ("A=hid den\0", "whose line 1 is not NAME=value (of at most 65536 bytes)"),
        (f"A={HIDDEN * LONGEST}", "whose line 1 is not NAME=value (of at most 65536 bytes)"),
    ],
)
def test_a_file_without_it(content: str, reason: str, file: Path) -> None:
    file.write_text(content)
    found = look(["A"])
    assert (found.unknown, found.file) == (expected(reason, file), None)
    with pytest.raises(ConfigError) as error:
        values(["A"])
    assert str(error.value) == f"${{secret:A}}: got None; expected {expected(reason, file)['A']}"
    assert HIDDEN not in f"{error.value!r}"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o777])
def test_a_file_that_others_may_open_is_refused(mode: int, file: Path) -> None:
    file.write_text(f"A={HIDDEN}")
    file.chmod(mode)
    reason = f"which others may open (mode {mode:04o}). Try chmod 600 {file}"
    assert look(["A"]).unknown == expected(reason, file)
    file.chmod(0o400)
    assert values(["A"]) == {"A": HIDDEN}


def test_what_is_no_file(file: Path) -> None:
    file.unlink()
    assert look(["A"]).unknown == expected("which is not there", file)
    file.mkdir(0o700)
    assert look(["A"]).unknown == expected("which is no file", file)
    file.rmdir()
    os.mkfifo(file, 0o600)
    assert look(["A"]).unknown == expected("which is no file", file)
    file.unlink()
    file.symlink_to(file.name)
    [reason] = look(["A"]).unknown.values()
    assert reason.endswith("which cannot be read: Too many levels of symbolic links")


def test_what_was_found_does_not_show(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A", HIDDEN)
    file.write_text(f"B={HIDDEN}")
    assert HIDDEN not in f"{look(['A', 'B', 'C'])}"


def test_places() -> None:
    text = symbol("A")
    assert misplaced({"env": {"X": text}, "nodes": 1, "args": {"x": None}}) == []
    found = misplaced({"env": text, "environment": {"env": {"X": text}}, "compute": {"setup": ["", text]}})
    assert [problem.key for problem in found] == ["env", "environment.env.X", "compute.setup[1]"]
    assert {problem.given for problem in found} == {"${secret:A}"}


def test_a_credential_becomes_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", os.environ.copy())
    given = "x @ http://u:pw@h.org:1/x?sig=ab"
    concealed = (
        "x @ http://@{secret.LAUNCHER_CREDENTIAL_H_ORG}@h.org:1/x?sig=@{secret.LAUNCHER_CREDENTIAL_H_ORG_SIG}"
    )
    assert conceal(given) == concealed
    assert conceal(conceal(given)) == concealed
    assert (fill(concealed), fill("http://h")) == (given, "http://h")
    other = conceal("http://u:other@h.org", "${{secret:{}}}")
    assert other == "http://${secret:LAUNCHER_CREDENTIAL_H_ORG_2}@h.org"
    assert typed(concealed) == "x @ http://***@h.org:1/x?sig=***"


def test_credentials_of_a_whole_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", os.environ.copy())
    symbols = "http://@{secret.LAUNCHER_CREDENTIAL_H}@h"
    given = {"a": ["http://u:pw@h", 1, None], "b": ("http://u:pw@h",), "c": Resources(memory_gib=1)}
    assert conceal_all(given) == {"a": [symbols, 1, None], "b": (symbols,), "c": Resources(memory_gib=1)}
    found = conceal_all(Packages(pip_packages=["x @ http://u:pw@h"], channels=["a"]))
    assert found == Packages(pip_packages=[f"x @ {symbols}"], channels=["a"])


def test_a_credential_is_found_again(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "http://@{secret.LAUNCHER_CREDENTIAL_H_ORG}@h.org"
    netrc = tmp_path / "netrc"
    monkeypatch.setenv("NETRC", str(netrc))
    with pytest.raises(ConfigError, match=r"the variable LAUNCHER_CREDENTIAL_H_ORG of this shell"):
        fill(text)
    file.write_text("LAUNCHER_CREDENTIAL_H_ORG=filed\n")
    assert fill(text) == "http://filed@h.org"
    netrc.write_text("machine h.org login me@x password p/w\n")
    assert fill(text) == "http://me%40x:p%2Fw@h.org"
    monkeypatch.setenv("LAUNCHER_CREDENTIAL_H_ORG", "u:pw")
    assert fill(text) == "http://u:pw@h.org"
