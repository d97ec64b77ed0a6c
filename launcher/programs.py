"""How files of the source are started: by a Python, which is asked what it is, or by another program."""

from __future__ import annotations

import re
import shlex
from pathlib import PurePath
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

PYTHON: Final = re.compile(r"(python|pypy|ipython|uv|pipx)[\d.]*(\.exe)?")
"""Programs that a `#!` names and whose scripts Python runs as well."""

INTERPRETERS: Final = {
    ".sh": "bash", ".bash": "bash", ".sbatch": "bash", ".slurm": "bash", ".zsh": "zsh", ".ksh": "ksh",
    ".csh": "csh", ".fish": "fish", ".pl": "perl", ".rb": "ruby", ".r": "Rscript", ".jl": "julia",
    ".lua": "lua", ".js": "node", ".tcl": "tclsh",
}  # fmt: skip
"""Interpreter of a file name's end, in lower case."""

NOTEBOOK: Final = (
    "jupyter", "nbconvert", "--to", "notebook", "--execute", "--output-dir", "outputs",
)  # fmt: skip
PYTHON_QUERY: Final = """\
import json, platform, sys, sysconfig
print(json.dumps({"path": sys.executable, "version": platform.python_version(),
"implementation": getattr(getattr(sys, "implementation", None), "name", "cpython"),
"abi": sysconfig.get_config_var("SOABI") or "", "libc": " ".join(platform.libc_ver())}))
"""
"""Makes a Python print what decides which packages fit it, as JSON."""

HEAD_BYTES: Final = 4096
ZIP: Final = b"PK\x03\x04"
COMPILED: Final = b"\r\n"
"""Python also runs zip files, and compiled modules, whose bytes 2 and 3 these are."""
PLAIN: Final = re.compile(r"[\w./-]+", re.ASCII)
PLAIN_OVERRIDE: Final = re.compile(r"command=\[[\w./,-]+\]", re.ASCII)
"""What a shell leaves as it is: no file has such a name."""


def other_program(path: Path, script: str) -> tuple[str, str]:
    """Return what a script is, if not one that Python runs, and how to start it; else empty texts."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError:
        return "", ""
    end = PurePath(script).suffix.lower()
    first = head.split(b"\n", 1)[0].decode("utf-8", "replace")
    interpreter = _interpreter(first) if first.startswith("#!") else INTERPRETERS.get(end)
    found = "", ""
    if end == ".ipynb":
        found = "a notebook", _command(*NOTEBOOK, script)
    elif head.startswith(b"\x7fELF"):
        found = "a compiled program", _command(f"./{script}")
    elif head.startswith(ZIP) or head[2:4] == COMPILED:
        pass
    elif b"\0" in head:
        found = "no text", "A script is text, such as train.py"
    elif interpreter is not None and not (PYTHON.fullmatch(interpreter) or _is_python(path, end)):
        found = f"a script of {interpreter}", _command(interpreter, script)
    return found


def _interpreter(line: str) -> str | None:
    """Return the name of the program that a `#!` line starts."""
    words = line[2:].split()
    if words and PurePath(words[0]).name == "env":
        words = [word for word in words[1:] if not word.startswith("-") and "=" not in word]
    return PurePath(words[0]).name if words else None


def _is_python(path: Path, end: str) -> bool:
    """Return whether a `.py` file that names another interpreter is Python all the same."""
    if end != ".py":
        return False
    try:
        compile(path.read_bytes(), path.name, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, OSError):
        return False
    return True


def _command(*words: str) -> str:
    """Return the override that starts a command, as a shell takes it."""
    elements = [word if PLAIN.fullmatch(word) else "'{}'".format(word.replace("'", "\\'")) for word in words]
    override = f"command=[{','.join(elements)}]"
    return (
        f"Write {override if PLAIN_OVERRIDE.fullmatch(override) else shlex.quote(override)} instead of script"
    )
