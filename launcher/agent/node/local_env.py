"""Environments on a node's own disk (`stage: node`): unpacked once a node, kept while a run there uses them.

    <TMPDIR>/launcher-env-<digest>/   e/ the environment   users/<attempt>.json whose agent uses it

Nobody sees this disk but this node, so that flock(2) serves here.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import time
from typing import TYPE_CHECKING

from ..base import atomic_json
from ..base.node_leftovers import ENVIRONMENT_PREFIX, PATHS_RECORD, locked, sweep_environments
from ..base.processes import die_with_parent
from ..base.shared_fs import PathWaiter, display_path
from ..base.tmp import local_disk, own_folder
from ..base.tools import run_tool

if TYPE_CHECKING:
    from ..base.record_types import Environment
    from ..messages import Staging, StagingRequest

_UNPACKERS = {".zst": "zstd", ".gz": "gzip"}


def place(prefix: str, secret: str) -> str:
    """Return where an environment goes: a path as long as its own, if that is long enough.

    Programs that were installed with their path in them (conda) can then be given the new one.

    Args:
        prefix: of the environment.
        secret: what other users do not know (`tmp.store_id`), so that they cannot make the folder first.
    """
    name = "%d:%s:%s" % (os.getuid(), secret, prefix)
    digest = hashlib.sha256(os.fsencode(name)).hexdigest()
    room = len(os.fsencode(prefix)) - len(os.fsencode(os.path.join(local_disk(), ENVIRONMENT_PREFIX, "e")))
    return os.path.join(
        local_disk(), ENVIRONMENT_PREFIX + digest[: max(12, room)].ljust(min(room, 200), "x"), "e"
    )


def moved(environment: Environment, into: str) -> Environment:
    """Return an environment's record with another prefix."""
    prefix = environment["prefix"]
    found = environment.copy()
    found["prefix"], found["python"] = into, environment["python"].replace(prefix, into)
    found["env"] = {name: value.replace(prefix, into) for name, value in environment["env"].items()}
    return found


def acquire(staging: StagingRequest) -> int:
    """Have an environment here for an attempt; return the exit code of this process.

    Args:
        staging: `archive` and `prefix` where it comes from, `into` where it goes, `python` in it, `user`
            the attempt, and `owner`, its agent.
    """
    root = os.path.dirname(staging["into"])
    sweep_environments()
    try:
        with locked(root):
            os.makedirs(os.path.join(own_folder(root), "users"), exist_ok=True)
            atomic_json.write(os.path.join(root, "users", staging["user"] + ".json"), staging["owner"])
            if not os.path.isdir(staging["into"]):
                _bring(staging, root)
        if not os.path.exists(staging["python"]):  # it leads to where Python was installed
            print(
                "%s does not see %s" % (os.uname().nodename, display_path(staging["python"])), file=sys.stderr
            )
            return 1
    except OSError as error:
        print(error, file=sys.stderr, flush=True)
        return 1
    return 0


def _bring(staging: Staging, root: str) -> None:
    import tempfile  # noqa: PLC0415  # 2 ms that only staging needs

    for name in os.listdir(root):
        if name.startswith("draft"):  # left by a process that was killed
            shutil.rmtree(os.path.join(root, name), ignore_errors=True)
    draft = tempfile.mkdtemp(prefix="draft", dir=root)
    archive = staging["archive"]
    sight = PathWaiter([archive])
    while not (seen := sight.complete()) and sight.problem() is None and not os.path.isdir(staging["prefix"]):
        time.sleep(0.25)
    unpacker = shutil.which(_UNPACKERS[os.path.splitext(archive)[1]])
    if seen and unpacker:
        _run(["tar", "-x", "--no-same-owner", "-I", unpacker, "-f", archive, "-C", draft])
    elif os.path.isdir(staging["prefix"]):
        _run(["cp", "-R", "-P", "-p", staging["prefix"] + "/.", draft])
    else:
        raise OSError(sight.problem() or "%s has no program to unpack %s" % (os.uname().nodename, archive))
    _relocate(draft, staging["prefix"], staging["into"])
    os.rename(draft, staging["into"])


def _run(argv: list[str]) -> None:
    done = run_tool(argv, timeout_s=None, preexec=die_with_parent)
    if done.returncode != 0:
        words = done.stderr.strip().splitlines()[-3:]
        raise OSError("%s: %s" % (os.uname().nodename, "; ".join(words) or "%s failed" % argv[0]))


def _relocate(tree: str, prefix: str, into: str) -> None:
    """Write the new path wherever files hold the old one (scripts, activate; with conda also programs)."""
    old, new = os.fsencode(prefix), os.fsencode(into)
    with open(os.path.join(tree, PATHS_RECORD), encoding="utf-8", errors="surrogateescape") as file:
        listed = json.load(file)
    for name in listed["files"]:
        path = os.path.join(tree, name)
        with open(path, "rb") as source:
            data = source.read()
        if len(old) != len(new) and b"\0" in data:
            words = "%s: %s is longer than %s, which programs in it hold; set a shorter TMPDIR"
            raise OSError(words % (os.uname().nodename, into, prefix))
        with open(path, "r+b") as target:
            target.write(data.replace(old, new))
            target.truncate()
    for name in listed["links"]:
        path = os.path.join(tree, name)
        target = os.fsencode(os.readlink(path)).replace(old, new)
        os.unlink(path)
        os.symlink(target, os.fsencode(path))
