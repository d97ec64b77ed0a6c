"""Everything that is wrong with a run, found before anything is written or started.

Pure but for `stat` and the first bytes of the script.
"""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from launcher.amounts import check_amounts
from launcher.errors import Problem, nearest
from launcher.paths import LATEST
from launcher.programs import other_program
from launcher.secrets import named, wanted
from launcher.spec import plain
from launcher.store.tree import Tree, scan
from launcher.texts import check_paths, check_texts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from launcher.facts import Facts
    from launcher.spec import RunSpec

RESERVED: Final = "LAUNCHER_"
"""Variables with this prefix are the launcher's own."""
WORK: Final = ("link", "copy")
DATA: Final = re.compile(r"@\{data\.([^}]*)\}")

RESERVED_NAMES: Final = (LATEST,)
"""What commands take for the newest run."""


def check(spec: RunSpec, facts: Facts) -> list[Problem]:
    """Return every problem of a spec on a machine with these facts."""
    return _after_texts(spec, _checks(spec, facts))


def check_environment(spec: RunSpec, facts: Facts) -> list[Problem]:
    """Return every problem that keeps the environment of a spec from being built."""
    return _after_texts(spec, _environment_checks(spec, facts))


def _after_texts(spec: RunSpec, others: Iterator[Problem]) -> list[Problem]:
    """Return what is wrong with the texts, and the other problems, of which some are the same ones.

    The other checks look for files, which fails if a path is none.
    """
    values = plain(spec)
    texts = list(check_texts(values))
    if texts and check_paths(values):
        return texts
    known = {_subject(problem) for problem in texts}
    return [*texts, *(problem for problem in others if _subject(problem) not in known)]


def _subject(problem: Problem) -> tuple[str, str]:
    return re.sub(r"\[\d+\]$", "", problem.key), repr(problem.given)


def _checks(spec: RunSpec, facts: Facts) -> Iterator[Problem]:
    yield from _names(spec)
    yield from _program(spec)
    yield from _surroundings(spec)
    yield from _links(spec)
    yield from check_amounts(spec)
    yield from _environment_variables(spec)
    yield from _inputs(spec)
    yield from unknown_secrets(spec, facts)
    yield from _secrets_file(spec, facts)
    yield from spec.distribution.check(spec, facts)
    yield from spec.environment.check(spec.environment_request, facts)
    yield from spec.data.check(spec, facts)
    yield from spec.compute.check(spec, facts)


def _environment_checks(spec: RunSpec, facts: Facts) -> Iterator[Problem]:
    yield from check_amounts(spec)
    yield from unknown_secrets(spec, facts)
    yield from spec.distribution.check(spec, facts)
    yield from spec.environment.check(spec.environment_request, facts)
    yield from spec.compute.check(spec, facts)


def _names(spec: RunSpec) -> Iterator[Problem]:
    if spec.name in RESERVED_NAMES:
        hint = "Commands take this word for the newest run"
        yield Problem("name", spec.name, "another name", hint)
    if spec.work not in WORK:
        yield Problem("work", spec.work, "link or copy", nearest(spec.work, WORK))


def _program(spec: RunSpec) -> Iterator[Problem]:
    """Check what runs: a script inside the source folder, or a command; not both, not neither."""
    if not spec.source.is_dir():
        found = "a file" if spec.source.exists() else "nothing there"
        hint = "Run it inside a project, or make one: python -m launcher init DIR"
        yield Problem(
            "source",
            str(spec.source),
            f"a folder; there is {found}" if found == "a file" else "a folder that exists",
            hint,
        )
    if spec.command and spec.script is not None:
        yield Problem("command", list(spec.command), "either command or script", "Try script=null")
    elif spec.script is not None:
        yield from _script(spec, spec.script)
    elif not spec.command:
        chosen = f"framework={spec.framework.name} distribution={spec.distribution.kind}"
        yield Problem(
            "script", None, "a script in the source folder, or a command", f"{chosen} has no example"
        )
    elif not spec.command[0]:
        yield Problem("command[0]", "", "a program")


def _script(spec: RunSpec, script: str) -> Iterator[Problem]:
    if not script:
        yield Problem("script", script, "a file in the source folder")
        return
    path = spec.source / script
    source = spec.source.resolve()
    if not path.resolve().is_relative_to(source):
        yield Problem(
            "script", script, f"a file inside {spec.source}", "Set source to the folder that holds it"
        )
    elif path.is_dir():
        yield Problem("script", script, "a file; this is a folder")
    elif not path.is_file() and spec.source.is_dir():
        scripts = sorted(str(file.relative_to(spec.source)) for file in spec.source.glob("*.py"))
        listed = (
            f"a file in {spec.source}: {', '.join(scripts[:10])}" if scripts else f"a file in {spec.source}"
        )
        yield Problem("script", script, listed, nearest(script, scripts))
    elif path.is_file():
        found, hint = other_program(path, script)
        if found:
            yield Problem("script", script, f"a Python script; this is {found}", hint)


def _surroundings(spec: RunSpec) -> Iterator[Problem]:
    """Check where the processes start, and what they read."""
    if spec.cwd is None and spec.stdin is None:
        return
    tree = scan(spec.source, Tree()) if spec.source.is_dir() else Tree()
    if spec.cwd is not None:
        folders = [name.rstrip("/") for name in tree.folders if name]
        hint = nearest(spec.cwd, folders)
        if spec.cwd.split("/")[0] in {"outputs", "logs"}:
            yield Problem("cwd", spec.cwd, "a folder other than outputs and logs, which are the run's own")
        elif spec.cwd not in folders:
            ignored = not hint and (spec.source / spec.cwd).is_dir() and not _leads_out(spec.cwd)
            hint = "It is ignored or a link, and so not part of the run" if ignored else hint
            yield Problem("cwd", spec.cwd, f"a folder inside {spec.source}", hint)
    if spec.stdin is not None:
        yield from _stdin(spec, spec.stdin, tree)


def _stdin(spec: RunSpec, stdin: str, tree: Tree) -> Iterator[Problem]:
    path = spec.source / stdin
    if not stdin:
        yield Problem("stdin", stdin, "the path of a file")
    elif Path(stdin).is_absolute():
        if spec.compute.features.containers:
            hint = "Containers see the source: put the file there"
            yield Problem("stdin", stdin, "a path relative to the source, with a container", hint)
        elif not path.is_file() or not os.access(path, os.R_OK):
            yield Problem("stdin", stdin, "a file that you can read")
    elif stdin not in tree.files and stdin not in tree.links:
        files = list(tree.files)
        ignored = path.is_file() and not _leads_out(stdin)
        hint = "It is ignored, and so not part of the run" if ignored else nearest(stdin, files)
        yield Problem("stdin", stdin, f"a file inside {spec.source}", hint)


def _leads_out(path: str) -> bool:
    return path.startswith(("/", "..")) or ".." in path.split("/")


def _links(spec: RunSpec) -> Iterator[Problem]:
    """Check the paths that are linked and not frozen."""
    for index, link in enumerate(spec.links):
        key, path = f"links[{index}]", PurePosixPath(link)
        if path.is_absolute() or path.parts[:1] in {(), ("..",), (".git",)}:
            yield Problem(key, link, "a path in the source folder, relative to it")
        elif path.parts[0] in {"outputs", "logs"}:
            yield Problem(key, link, f"another path: every run has its own {path.parts[0]}")
        elif any(path.is_relative_to(other) for at, other in enumerate(spec.links) if at != index):
            yield Problem(key, link, "paths that differ, none inside another")
        elif spec.source.is_dir() and not (spec.source / link).exists():
            there = sorted(entry.name for entry in spec.source.iterdir() if entry.is_dir())
            yield Problem(key, link, f"a folder or file that exists in {spec.source}", nearest(link, there))


def _environment_variables(spec: RunSpec) -> Iterator[Problem]:
    for name, value in spec.env.items():
        if name.startswith(RESERVED):
            yield Problem(f"env.{name}", value, f"another name: {RESERVED}… are the launcher's own")


def _inputs(spec: RunSpec) -> Iterator[Problem]:
    """Check that the inputs that arguments and variables name are there."""
    names = spec.data.names()
    for text in (*spec.command, *spec.args, *spec.env.values()):
        for name in DATA.findall(text):
            if name not in names:
                given = f"${{data:{name}}}"
                known = f"one of {', '.join(names)}" if names else "an input; this data has none"
                yield Problem("args", given, known, nearest(name, names) or "See data.inputs")


def unknown_secrets(spec: RunSpec, facts: Facts) -> Iterator[Problem]:
    """Return the problem of every secret that has no value now; also for what runs again."""
    for key, text in wanted(spec).items():
        for name in named([text]):
            if name in facts.unknown_secrets:
                yield Problem(key, f"${{secret:{name}}}", facts.unknown_secrets[name])


def _secrets_file(spec: RunSpec, facts: Facts) -> Iterator[Problem]:
    file = facts.secrets_file
    if file is not None and file.resolve().is_relative_to(spec.source.resolve()):
        hint = "Move it, and name it by LAUNCHER_SECRETS"
        yield Problem(
            "source", str(spec.source), f"a folder without {file}: it is copied into the store", hint
        )
