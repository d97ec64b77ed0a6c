"""What one launch may ask for at most: every limit of the launcher, each with its reason.

A launch beyond a limit is refused before anything of that size is built. Where a target knows less, such as
a cluster's partition or the CPUs of this machine, the smaller figure counts. docs/configuration.md has the
table.
"""

from __future__ import annotations

from typing import Final, NamedTuple

MEMBERS: Final = 10_000
"""Of one sweep: Slurm's MaxJobCount, unless a site changes it (slurm.conf(5)). Measured: composing a member
takes 4 ms of a CPU, so that this many take 40 s."""

NODES: Final = 4_096
"""Of one run. One agent keeps a connection to every other node. Chosen so that a list of the nodes' names
fits into one argument, for which Linux allows 128 KiB (execve(2)). Measured: 37 KB for names of 8 letters."""

PROCESSES: Final = 16_384
"""Of one run, over all its nodes. Chosen so that a launch fits into 100 MB. Measured with torch: 1 KB a
process for the plan, 5 KB at the peak, when its record is written: 86 MB."""

PROCESSES_OF_SWEEP: Final = 100_000
"""Of all members of a sweep together. Chosen so that their plans fit into 100 MB, by the same measurement."""

TASKS: Final = 1_000
"""Of a TensorFlow cluster. TF_CONFIG names every task to every task, in one variable, for which Linux allows
128 KiB (execve(2)). Measured: 32 KB for this many tasks, 32 MB for all of them."""

PROCESSES_PER_CPU: Final = 64
"""On this machine, for each CPU. Chosen so that all are up after about a second. Measured: to start a Python
takes 10 to 15 ms of a CPU."""

PROCESSES_AT_LEAST: Final = 256
"""On this machine, however few its CPUs are. Chosen so that a run for eight nodes of 32 processes can be
tried anywhere."""

CONTAINERS_PER_CPU: Final = 16
"""Nodes of `compute=docker`, for each CPU. Chosen so that all are up after about five seconds, if an engine
takes 0.3 s to start a container. That figure is an estimate."""

CONTAINERS_AT_LEAST: Final = 32
"""Nodes of `compute=docker`, however few its CPUs are. Chosen, as `PROCESSES_AT_LEAST` is."""

DEPTH: Final = 32
"""Levels of a value, in a file and on the command line. Measured: OmegaConf resolves 105 levels within the
1,000 calls that Python allows, and fails at 110. Chosen so that a third of that is enough."""

VALUES: Final = 20_000
"""Keys and values of one YAML file with its aliases written out, and values that `${…}` stand for. Chosen so
that a composition takes seconds. Measured: 2 s of a CPU for this many."""

INTERPOLATIONS: Final = 1_000
"""Times that a configuration looks up a `${…}`, each as often as another value names it. Chosen so that this
takes about a second. Measured: 0.8 ms for each."""

TEXT: Final = 4_194_304
"""Characters that a configuration's `${…}` may grow to together, and bytes of one YAML file. Chosen: 4 MiB,
as Slurm's default for a job's script (max_script_size in slurm.conf(5))."""

ITEMS: Final = 2_000
"""Commas of one word on the command line. Hydra's parser takes a time that grows with their square. Measured:
1 s of a CPU for this many, 13 s for 12,000."""


class Range(NamedTuple):
    """What a number may be."""

    least: float
    most: float
    expected: str
    """The words for what is less."""
    why: str
    """The reason of `most`, in words that follow it."""
    above: bool = False
    """Whether it must be greater than `least`."""

    def problem_of(self, value: float) -> str:
        """Return what is expected in place of a value; nothing where it is in the range."""
        if value > self.most:
            return f"at most {self.most:,} ({self.why})"
        fine = value > self.least if self.above else value >= self.least  # not for nan
        return "" if fine else self.expected


_YEARS = 10 * 366 * 24 * 60
_POSITIVE = "a number greater than 0"
_PARALLEL = Range(1, MEMBERS, "a whole number from 1, or null", "the members of a sweep")
_TASKS = "the tasks of a TensorFlow cluster"

NUMBERS: Final = {
    "nodes": Range(1, NODES, "a whole number from 1", "the nodes of a run"),
    "processes_per_node": Range(1, PROCESSES, "a whole number from 1", "the processes of a run"),
    "gpus_per_node": Range(0, 1_024, "a whole number from 0", "more than any node has"),
    "cpus_per_process": Range(1, 8_192, "a whole number from 1", "the CPUs that Linux manages"),
    "memory_gib": Range(0, 1_048_576, _POSITIVE, "1 PiB", above=True),
    "time_limit_min": Range(0, _YEARS, _POSITIVE, "ten years", above=True),
    "retries": Range(0, 1_000, "a whole number from 0", "the attempts that a run keeps records of"),
    "snapshot_limit_mib": Range(0, 1_048_576, _POSITIVE, "1 TiB", above=True),
    "compute.max_parallel": _PARALLEL,
    "compute.shm_size_gib": Range(0, 1_048_576, _POSITIVE, "1 PiB", above=True),
    "compute.grace_s": Range(0, 86_400, "a number of seconds from 0", "one day"),
    "compute.ulimits": Range(
        -1, 2**63 - 1, "a whole number from 0, or -1 for no limit", "what Linux can count"
    ),
    "distribution.worker_count": Range(1, TASKS, "a whole number from 1, or null", _TASKS),
    "distribution.parameter_server_count": Range(0, TASKS, "a whole number from 0", _TASKS),
}
"""Every number that a configuration has, by its key; of a mapping of numbers, that of its values.

From sources: the 8,192 CPUs of x86-64 (NR_CPUS_RANGE_END in the kernel's arch/x86/Kconfig), and the 64 bits
of a limit (getrlimit(2)). Chosen, beyond any machine or schedule of today: GPUs, GiB, MiB, minutes,
seconds of grace and retries.
"""

_SECONDS = 366 * 24 * 60 * 60

FLAGS: Final = {
    "--limit": Range(1, 1_000_000, "a whole number from 1", "--all has no limit"),
    "--rank": Range(0, PROCESSES, "a whole number from 0", "the processes of a run"),
    "--attempt": Range(0, 1_000_000, "a whole number from 0", "more than any run has"),
    "--timeout": Range(0, _SECONDS, "a number of seconds from 0", "one year"),
    "NUMBER": Range(0, MEMBERS, "a whole number from 0", "the members of a sweep"),
}
"""Every number that a command takes, by its flag, or by the word that help has for it."""
