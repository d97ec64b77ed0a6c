"""`python -m benchmarks [name …]`: runs benchmarks one after the other and prints one table."""

from __future__ import annotations

import argparse
import importlib
import sys
from typing import TYPE_CHECKING

from benchmarks.paired import load, show

if TYPE_CHECKING:
    from benchmarks.paired import Comparison

NAMES = (
    "trivial_job",
    "trivial_sweep",
    "compose",
    "snapshot",
    "run_list",
    "log_latency",
    "mpi_start",
    "stage",
    "agents",
    "slurm",
    "containers",
    "horovod_throughput",
)

parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; default: all")
parser.add_argument("--pairs", type=int, help="pairs to measure; each benchmark has its own default")
options = parser.parse_args()
unknown = set(options.names) - set(NAMES)
if unknown:
    parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")

found: list[Comparison] = []
try:
    for name in options.names or NAMES:
        print(f"{name}: {load()}", file=sys.stderr)
        found += importlib.import_module(f"benchmarks.{name}").measure(options.pairs)
finally:  # also what was measured before one that cannot be
    show(found)
