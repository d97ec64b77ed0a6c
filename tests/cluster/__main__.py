"""Start, use and end a cluster by hand: `python -m tests.cluster up`, then `eval "$(... env)"`."""

# ruff: noqa: T201  # a command line

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from shlex import quote

from tests.cluster.layout import DEFAULT_ROOT, Layout
from tests.cluster.machine import Cluster, attach, clear, up
from tests.cluster.requirements import missing


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    parser.add_argument("--state", type=Path, default=DEFAULT_ROOT, help="folder of everything (%(default)s)")
    verbs = parser.add_subparsers(dest="verb", required=True)
    start = verbs.add_parser("up", help="start a cluster; an earlier one of the same folder ends")
    start.add_argument("--nodes", type=int, default=4)
    start.add_argument("--hostile", action="store_true", help="stale shared folder, dead interface, firewall")
    start.add_argument("--cgroup", action="store_true", help="hold jobs to their memory and GPUs (cgroup v1)")
    start.add_argument(
        "--shared", type=Path, action="append", default=[], help="folder below /tmp for all nodes"
    )
    verbs.add_parser("down", help="kill everything of the cluster")
    verbs.add_parser("env", help="print what a shell must export to use it")
    verbs.add_parser("shell", help="a shell of the head")
    for verb, text in (("stop", "pull a node's plug"), ("start", "switch a node on")):
        verbs.add_parser(verb, help=text).add_argument("node")
    run = verbs.add_parser("exec", help="run a command on a node")
    run.add_argument("node")
    run.add_argument("words", nargs=argparse.REMAINDER, metavar="command")
    return parser


def main() -> int:
    """Run one verb."""
    args = _parser().parse_args()
    if args.verb == "up":
        if problems := missing(cgroup=args.cgroup):
            print("\n".join(problems), file=sys.stderr)
            return 2
        begin = time.monotonic()
        wanted = Layout(
            root=args.state.resolve(),
            node_count=args.nodes,
            hostile=args.hostile,
            cgroup=args.cgroup,
            shared_dirs=tuple(path.resolve() for path in args.shared),
        )
        names = up(wanted).nodes
        print(f"{len(names)} nodes are idle after {time.monotonic() - begin:.1f} s", file=sys.stderr)
        return 0
    if args.verb == "down":
        clear(args.state.resolve())
        return 0
    return _use(attach(args.state.resolve()), args)


def _use(cluster: Cluster, args: argparse.Namespace) -> int:
    if args.verb == "env":
        print("\n".join(f"export {name}={quote(value)}" for name, value in cluster.variables.items()))
    elif args.verb == "shell":
        return subprocess.run([os.environ.get("SHELL", "/bin/sh")], env=cluster.env, check=False).returncode
    elif args.verb == "exec":
        return subprocess.run(cluster.argv(args.node, args.words), env=cluster.env, check=False).returncode
    elif args.verb == "stop":
        cluster.stop(args.node)
    else:
        cluster.start(args.node)
    return 0


if __name__ == "__main__":
    sys.exit(main())
