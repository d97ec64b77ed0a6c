"""Import what an environment was asked for: `python -I import_check.py REQUEST`, in that environment.

REQUEST is JSON: `modules` to import; `distributions` and `conda` packages, by name, whose top-level modules
are imported; `addresses`, whether distributions that came from an address or a folder count too; `skip`,
names of distributions to leave out, `*` for all; `limit_s`.

One process imports everything. If a module fails after others, it is tried again without them,
because some packages cannot live in one process.

Standard library only, Python 3.7: it is copied to where the environment is.
"""

from __future__ import annotations

import csv
import faulthandler
import importlib
import importlib.machinery
import json
import os
import re
import select
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

NO_MODULES = {
    "benchmarks",
    "conftest",
    "doc",
    "docs",
    "example",
    "examples",
    "scripts",
    "setup",
    "test",
    "tests",
}
"""Names that packages install at the top level by mistake."""
ABSENT = re.compile(r"libcuda\.so|libnvidia-|DISPLAY|display name|X connection|connect to X")
"""What an import says that needs a GPU's driver or a screen, which the machine that builds may lack."""
ALL = "*"
MOST_FAILURES = 3
LINES = 12


def top_level(paths: list[str]) -> list[str]:
    """Return the public modules and packages among installed files, by their paths in site-packages."""
    found: set[str] = set()
    for path in paths:
        name, _, rest = path.partition("/")
        if rest == "":
            for suffix in importlib.machinery.all_suffixes():
                if name.endswith(suffix) and not name.endswith(".pyc"):
                    found.add(name[: -len(suffix)])
        elif rest.startswith("__init__.") and rest.count("/") == 0 and not rest.endswith(".pyi"):
            found.add(name)
    return sorted(name for name in found if name.isidentifier() and name[0] != "_" and name not in NO_MODULES)


def plain(name: str) -> str:
    """Return the one spelling of a distribution's name."""
    return re.sub(r"[-_.]+", "-", name).lower()


def distributions(request: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the modules of the distributions that were asked for, each with name and version."""
    wanted = {plain(name) for name in request["distributions"]}
    found: dict[str, tuple[str, list[str]]] = {}
    for folder in (entry for site in sys.path for entry in sorted(Path(site).glob("*.dist-info"))):
        name, _, version = folder.name[: -len(".dist-info")].partition("-")
        direct = request["addresses"] and (folder / "direct_url.json").exists()
        if (plain(name) in wanted or direct) and plain(name) not in found:
            found[plain(name)] = f"{name} {version}", top_level(recorded(folder))
    for path in Path(sys.prefix, "conda-meta").glob("*.json"):
        name = path.name.rpartition("-")[0].rpartition("-")[0]
        if name in request["conda"]:
            entry = json.loads(path.read_text(encoding="utf-8"))
            files = [word.partition("/site-packages/")[2] for word in entry["files"]]
            found[name] = f"{name} {entry['version']}", top_level(files)
    skipped = {name if name == ALL else plain(name) for name in request["skip"]}
    return [
        (about, module)
        for name, (about, modules) in found.items()
        for module in modules
        if skipped.isdisjoint({ALL, plain(name), plain(module)})
    ]


def recorded(folder: Path) -> list[str]:
    """Return the files of a distribution."""
    try:
        with (folder / "RECORD").open(newline="", encoding="utf-8") as file:
            return [row[0] for row in csv.reader(file) if row]
    except OSError:
        return []


def import_one(module: str) -> None:
    """Import a module; that of mpi4py which loads MPI does not start it."""
    if module == "mpi4py.MPI":
        importlib.import_module("mpi4py").rc.initialize = False
    importlib.import_module(module)


def import_all(todo: list[tuple[str, str]], pipe: int) -> None:
    """Import one after the other, each announced on the pipe; end this process."""
    faulthandler.enable()
    for about, module in todo:
        os.write(pipe, b".")
        try:
            import_one(module)
        except SystemExit:
            pass  # a program
        except BaseException as error:  # noqa: BLE001  # whatever a module does
            text = traceback.format_exc().strip().splitlines()
            if ABSENT.search(text[-1]):
                say(f"{about}: not checked, importing {module} needs what this machine lacks: {text[-1]}")
                continue
            for line in text[-LINES:-1]:
                say(line)
            say(f"{about}: importing {module} failed: {type(error).__name__}: {error}")
            os._exit(1)
    sys.stdout.flush()
    os._exit(0)  # not what modules do at the end


def attempt(todo: list[tuple[str, str]], deadline: float) -> tuple[int, str]:
    """Import in a process of its own; return how many it began with, and how it failed."""
    reader, writer = os.pipe()
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        import_all(todo, writer)
    os.close(writer)
    begun, ended, status = 0, 0, 0
    try:
        while not ended:
            if time.monotonic() > deadline:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                return begun, "did not end in time"
            ended, status = os.waitpid(child, os.WNOHANG)
            while select.select([reader], [], [], 0.0 if ended else 0.05)[0]:
                got = os.read(reader, 4096)
                begun += len(got)
                if not got:
                    break
            if not ended:
                time.sleep(0.005)
    finally:
        os.close(reader)
    if os.WIFSIGNALED(status):
        return begun, f"was killed by signal {os.WTERMSIG(status)}"
    return begun, "failed" if status else ""


def say(line: str) -> None:
    """Print a line, whatever characters it has."""
    print(line.encode("ascii", "backslashreplace").decode("ascii"), flush=True)  # noqa: T201  # the log


def main(request: dict[str, Any]) -> int:
    """Import; return the exit code."""
    deadline = time.monotonic() + request["limit_s"]
    todo = [(module, module) for module in request["modules"]]
    known = {module for _, module in todo}
    todo += [entry for entry in distributions(request) if entry[1] not in known]
    failures = 0
    while todo and failures < MOST_FAILURES:
        begun, failure = attempt(todo, deadline)
        if not failure:
            break
        at = max(begun - 1, 0)
        about, module = todo[at]
        late = time.monotonic() > deadline
        if at > 0 and not late:
            say(f"{about}: trying again without what was imported before {module}")
            todo = todo[at:]
            continue
        failures += 1
        if failure != "failed":
            say(f"{about}: importing {module} {failure}")
        if late:
            break
        todo = todo[at + 1 :]
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
