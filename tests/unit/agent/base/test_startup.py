"""Descriptors and encoding of a process that just began."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[4]
LOOKS = """
import os, sys
from launcher.agent.base.startup import open_missing
open_missing()
file = os.open(os.devnull, os.O_RDONLY)
print("heard", file=sys.stderr)
found = [os.path.basename(os.readlink("/proc/self/fd/%d" % number)) for number in (0, 1, 2)]
assert not os.read(0, 1) if "<" in sys.argv[1] else True
with open(sys.argv[2], "w") as out:
    print(file, os.get_inheritable(0), *found, file=out)
os.write(2, b"heard")
os.write(1, b"answer")
"""


@pytest.mark.parametrize(
    ("redirection", "null", "code"),
    [
        ("2>&-", {2}, 0),
        (">&-", {1}, 1),
        ("<&-", {0}, 0),
        ("<&- >&- 2>&-", {0, 1, 2}, 1),
        ("<&- 2>&-", {0, 2}, 0),
    ],
)
def test_closed_descriptors_are_opened(tmp_path: Path, redirection: str, null: set[int], code: int) -> None:
    argv = [sys.executable, "-c", LOOKS, redirection, str(tmp_path / "out")]
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {redirection}', "sh", *argv],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        capture_output=True,
        check=False,
    )
    number, inheritable, *found = (tmp_path / "out").read_text().split()
    assert (int(number) > 2, inheritable) == (True, "True")
    assert {at for at, name in enumerate(found) if name == "null"} == null
    assert done.returncode == code  # what prints its answer fails, as with a closed descriptor
    assert done.stdout == (b"answer" if 1 not in null else b"")


@pytest.mark.parametrize(
    ("options", "code"), [(["-X", "utf8=0"], "ascii"), (["-X", "utf8"], "utf-8"), ([], "utf-8")]
)
def test_the_encoding_is_utf_8_whatever_the_locale(tmp_path: Path, options: list[str], code: str) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import json, os, sys\n"
        f"sys.path.insert(0, {str(REPOSITORY)!r})\n"
        "from launcher.agent.base.startup import use_utf8\n"
        "before = sys.getfilesystemencoding()\n"
        "os.environ.setdefault('BEFORE', before)\n"
        "use_utf8(['-I', '-S', *sys.argv])\n"
        "now = sys.getfilesystemencoding()\n"
        "print(json.dumps([os.environ['BEFORE'], now, sys.argv[1], sys.stdin.read()]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", *options, str(script), b"caf\xe9"],
        env={"LC_ALL": "C", "PATH": os.environ["PATH"]},
        input=b"orders",
        capture_output=True,
        check=True,
    )
    assert json.loads(done.stdout) == [code, "utf-8", "caf\udce9", "orders"]
