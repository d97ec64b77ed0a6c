"""Compute pi on all ranks of an MPI job: the smallest script that shows who runs where.

With the launcher:  python -m launcher framework=python environment=packages distribution=mpi nodes=2
By hand:            mpirun -np 2 --bind-to none python mpi_pi.py --intervals 1000000
Needs:              mpi4py>=4 and an MPI library, such as Debian's libopenmpi3

Rank 0 writes outputs/pi.json.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

from metrics import describe_process, log_metric
from mpi4py import MPI

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--intervals", type=int, default=1_000_000)
args = parser.parse_args()

world = MPI.COMM_WORLD
rank, size = world.Get_rank(), world.Get_size()
local_rank = world.Split_type(MPI.COMM_TYPE_SHARED).Get_rank()

# Pi is the integral of 4 / (1 + x²) from 0 to 1; each rank sums up every size-th interval's middle.
width = 1.0 / args.intervals
share = sum(4.0 / (1.0 + ((i + 0.5) * width) ** 2) for i in range(rank, args.intervals, size)) * width
pi = world.allreduce(share)
hosts = world.gather(MPI.Get_processor_name())
describe_process("rank", rank, size, local_rank)

if rank == 0:
    log_metric("pi", pi)
    log_metric("error", abs(pi - math.pi))
    report = {"pi": pi, "ranks": size, "hosts": hosts}
    Path("outputs", "pi.json").write_text(json.dumps(report) + "\n", encoding="utf-8")
