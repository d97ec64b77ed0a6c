"""Start, use and end an engine by hand: `python -m tests.engine up`, then `eval "$(... env)"`."""

# ruff: noqa: T201  # a command line

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from shlex import quote

from tests.engine.layout import DEFAULT_ROOT, Layout
from tests.engine.machine import attach, clear, up
from tests.engine.requirements import missing


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.engine", description=__doc__)
    parser.add_argument("--state", type=Path, default=DEFAULT_ROOT, help="folder of everything (%(default)s)")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("up", help="start an engine; an earlier one of the same folder ends")
    verbs.add_parser("down", help="kill everything of the engine")
    verbs.add_parser("env", help="print what a shell must export to use it")
    return parser


def main() -> int:
    """Run one verb."""
    args = _parser().parse_args()
    root = args.state.resolve()
    if args.verb == "up":
        if problems := missing():
            print("\n".join(problems), file=sys.stderr)
            return 2
        begin = time.monotonic()
        engine = up(Layout(root=root))
        print(f"{engine.host} answers after {time.monotonic() - begin:.1f} s", file=sys.stderr)
    elif args.verb == "down":
        clear(root)
    else:
        lines = (f"export {name}={quote(value)}" for name, value in attach(root).variables.items())
        print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
