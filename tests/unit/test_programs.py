"""What a file is, by its beginning and its name, and how to start what is no Python script."""

from __future__ import annotations

import py_compile
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from launcher.config.load import load
from launcher.programs import other_program

OTHER: dict[str, tuple[bytes, str, str]] = {
    "run.sh": (b"echo hi\n", "a script of bash", "command=[bash,run.sh]"),
    "job.sbatch": (b"#SBATCH -n 1\n", "a script of bash", "command=[bash,job.sbatch]"),
    "plot.R": (b"print(1)\n", "a script of Rscript", "command=[Rscript,plot.R]"),
    "run.zsh": (b"#!/bin/sh -e\n", "a script of sh", "command=[sh,run.zsh]"),
    "tool": (b"#!/usr/bin/env -S A=1 ruby -w\n", "a script of ruby", "command=[ruby,tool]"),
    "start.py": (b'#!/bin/sh\nexec python3 x.py "$@"\n', "a script of sh", "command=[sh,start.py]"),
    "prog": (b"\x7fELF\x02\x01\x01\0", "a compiled program", "command=[./prog]"),
    "it's a.sh": (b"x\n", "a script of bash", r"""'command=[bash,'"'"'it\'"'"'s a.sh'"'"']'"""),
    "nb.ipynb": (
        b"{}",
        "a notebook",
        "command=[jupyter,nbconvert,--to,notebook,--execute,--output-dir,outputs,nb.ipynb]",
    ),
}
PYTHON: dict[str, bytes] = {
    "a.py": b"print(1)\n",
    "none": b"print(1)\n",
    "python": b"#!/usr/bin/env python3\nprint(1)\n",
    "old": b"#! /opt/env/bin/python3.11 -u\nprint(1)\n",
    "uv.py": b"#!/usr/bin/env -S uv run --script\nprint(1)\n",
    "both.py": b'#!/bin/sh\n"""exec" python3 "$0" "$@" # """\nprint(1)\n',
    "latin.py": b"# -*- coding: latin-1 -*-\nx = '\xe9'\n",
    "crlf.py": b"#!/usr/bin/env python\r\nprint(1)\r\n",
    "empty.py": b"",
    "hash": b"#!\n",
}


@pytest.mark.parametrize("name", OTHER)
def test_another_program_is_named_with_the_command_that_starts_it(name: str, tmp_path: Path) -> None:
    content, kind, command = OTHER[name]
    (tmp_path / name).write_bytes(content)
    assert other_program(tmp_path / name, name) == (kind, f"Write {command} instead of script")
    words = shlex.split(command)
    spec = load(["framework=python", f"source={tmp_path}", *words], tmp_path).spec
    assert spec.command[-1].removeprefix("./") == name


def test_what_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "x.py").write_bytes("print(1)".encode("utf-16"))
    assert other_program(tmp_path / "x.py", "x.py") == ("no text", "A script is text, such as train.py")


@pytest.mark.parametrize("name", PYTHON)
def test_python_scripts(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(PYTHON[name])
    assert other_program(tmp_path / name, name) == ("", "")


def test_what_python_runs_without_being_text(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("print('ran')\n")
    compiled = Path(str(py_compile.compile(str(tmp_path / "a.py"), str(tmp_path / "a.pyc"))))
    with zipfile.ZipFile(tmp_path / "a.pyz", "w") as archive:
        archive.writestr("__main__.py", "print('ran')\n")
    for path in (compiled, tmp_path / "a.pyz"):
        done = subprocess.run([sys.executable, str(path)], capture_output=True, check=True, text=True)
        assert done.stdout == "ran\n"
        assert other_program(path, path.name) == ("", "")
    assert other_program(tmp_path / "lost", "lost") == ("", "")
