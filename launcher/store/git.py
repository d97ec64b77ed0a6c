"""The state of the git repository around a source tree.

Only `git status` knows whether the source differs from the commit; it runs while the snapshot is made.
If git does not answer, commit and branch are read from the repository's files.

A source may come from someone else, so git is asked nothing that runs a program which the repository names.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

MAX_LINKS = 5
"""Symbolic refs that git follows."""

PROGRAMS = re.compile(r"\[\s*(filter|include)", re.IGNORECASE)
"""Sections of a repository's configuration that may name a program which `git status` runs: gitattributes(5),
and git-config(1) for the files that it includes."""

SAFE = {
    "core.fsmonitor": "false",
    "core.hooksPath": os.devnull,
    "core.sshCommand": "false",
}
"""What else git-config(1) lets a repository run during `git status`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Git:
    """Where a source tree stands in its repository."""

    commit: str | None
    """None before the first commit."""
    branch: str | None
    """None where HEAD is detached."""
    dirty: bool | None
    """Whether the source has changes or files that the commit does not have; None if git did not answer, or
    was not asked because the repository's configuration names programs."""


class GitQuestion:
    """A question to git that was put, and is answered later."""

    def __init__(self, source: Path) -> None:
        """Start asking; harmless where there is no git or no repository."""
        self._source = source
        self._folder = _git_folder(source)
        self._asked = time.monotonic()
        safe = self._folder is not None and not _names_programs(self._folder)
        self._status = _ask_status(source) if safe else None

    def answer(self, timeout_s: float = 2.0) -> Git | None:
        """Return the state, None outside a repository; wait for it no longer than that since it was asked."""
        if self._folder is None:
            return None
        told = self._told(timeout_s)
        if told is not None:
            return parse_status(told)
        commit, branch = _head(self._folder)
        return Git(commit=commit, branch=branch, dirty=None)

    def _told(self, timeout_s: float) -> str | None:
        if self._status is None:
            return None
        with self._status as status:
            try:
                left = max(0.0, timeout_s - (time.monotonic() - self._asked))
                out, _ = status.communicate(timeout=left)
            except subprocess.TimeoutExpired:
                status.kill()
                return None
        return out.decode("utf-8", "surrogateescape") if status.returncode == 0 else None


def read_git(source: Path, timeout_s: float = 2.0) -> Git | None:
    """Return the state of the repository around a source, None where there is none."""
    return GitQuestion(source).answer(timeout_s)


def parse_status(text: str) -> Git:
    """Return what `git status --porcelain=v2 --branch` says, see git-status(1)."""
    lines = text.splitlines()
    heads = dict(line[2:].split(" ", 1) for line in lines if line.startswith("# "))
    commit, branch = heads.get("branch.oid"), heads.get("branch.head")
    return Git(
        commit=None if commit == "(initial)" else commit,
        branch=None if branch == "(detached)" else branch,
        dirty=any(not line.startswith("# ") for line in lines),
    )


def _ask_status(source: Path) -> subprocess.Popen[bytes] | None:
    # A git hook that launches has GIT_DIR and the like set, of a repository that need not be ours.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    environment["GIT_ALLOW_PROTOCOL"] = "none"  # a partial clone fetches what it lacks, by any program
    line = ["git", "--no-optional-locks", *(word for key in SAFE for word in ("-c", f"{key}={SAFE[key]}"))]
    line += ["status", "--porcelain=v2", "--branch", "--no-ahead-behind", "--no-renames"]
    line += ["--ignore-submodules=dirty", "--", "."]  # a submodule has a configuration of its own
    try:
        return subprocess.Popen(
            line,
            cwd=source,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except OSError:
        return None


def _names_programs(folder: Path) -> bool:
    """Return whether the repository's own configuration may name a program that `git status` runs."""
    common = folder / (_text(folder / "commondir") or ".")
    return any(PROGRAMS.search(_text(path)) for path in (common / "config", folder / "config.worktree"))


def _git_folder(source: Path) -> Path | None:
    for folder in (source, *source.parents):
        dot = folder / ".git"
        if (dot / "HEAD").is_file():
            return dot
        if dot.is_file():  # a worktree or submodule
            kind, _, target = _text(dot).partition(": ")
            return folder / target if kind == "gitdir" else None
    return None


def _head(folder: Path) -> tuple[str | None, str | None]:
    """Return the commit and the branch."""
    common = folder / (_text(folder / "commondir") or ".")
    value = _text(folder / "HEAD")
    branch = None
    for _ in range(MAX_LINKS):
        if not value.startswith("ref: "):
            break
        ref = value.removeprefix("ref: ")
        branch = ref.removeprefix("refs/heads/")
        value = _text(folder / ref) or _text(common / ref) or _packed(common, ref)
    return value or None, branch


def _packed(common: Path, ref: str) -> str:
    for line in _text(common / "packed-refs").splitlines():
        commit, _, name = line.partition(" ")
        if name == ref:
            return commit
    return ""


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "surrogateescape").strip()
    except OSError:
        return ""
