"""Why an attempt failed: which process was first, how it ended, what it said last."""

from __future__ import annotations

import os
import re
import signal
from typing import TYPE_CHECKING

from ..base import atomic_json, process_logs
from ..base.failure_kinds import FailureKind
from ..base.tail import tail, tail_lines
from ..mpi import mpirun_output

if TYPE_CHECKING:
    from typing import Optional, TypedDict

    from ..base.record_types import Cause, ProcessRecord

    class End(TypedDict):
        """How a process ended."""

        exit_code: Optional[int]
        signal: Optional[int]


_MPIRUN_TAIL = 1 << 20

_SIGNALS = (
    signal.SIGSEGV,
    signal.SIGKILL,
    signal.SIGABRT,
    signal.SIGBUS,
    signal.SIGFPE,
    signal.SIGILL,
)
"""What ends a program that nobody else ends, and a shell then prints."""


def cause(
    kind: FailureKind, message: str, lines: list[str], who: ProcessRecord | None, node: str | None
) -> Cause:
    """Return the cause of a failure.

    Args:
        kind: of the failure.
        message: in words.
        lines: the last ones of a log.
        who: the process that failed, if one did.
        node: where it failed, if that is no process's fault.
    """
    return {
        "node": node if who is None else who["node"],
        "role": None if who is None else who["role"],
        "index": None if who is None else who["index"],
        "rank": None if who is None else who["rank"],
        "exit_code": None if who is None else who["exit_code"],
        "signal": None if who is None else who["signal"],
        "kind": kind,
        "message": message,
        "last_lines": lines,
    }


def describe(who: ProcessRecord, several: bool) -> tuple[FailureKind, str]:
    """Return kind and message for a process that ended badly; `several`: name it by its rank."""
    kind = FailureKind.EXIT if who["signal"] is None else FailureKind.SIGNAL
    end = (
        "exited with %s" % who["exit_code"]
        if kind is FailureKind.EXIT
        else "was killed by signal %s" % who["signal"]
    )
    name = "rank %d" % who["rank"] if who["role"] == "worker" and several else who["role"]
    return kind, "%s on %s %s" % (name, who["node"], end)


def last_lines(run: str, folder: str, who: ProcessRecord | None) -> list[str]:
    """Return the end of a process's log, whatever bytes it holds; of mpirun's the part that says why."""
    if who is None:
        return []
    log = who["log"]
    if is_mpirun(who):
        return mpirun_output.lines(mpirun_text(run, folder, log))
    return tail_lines(process_logs.find(run, folder, log))


def is_mpirun(who: ProcessRecord) -> bool:
    """Tell whether a process is mpirun or one of its daemons."""
    return who["role"].startswith("mpirun")


def mpirun_text(run: str, folder: str, log: str) -> str:
    """Return what mpirun has printed; its first message counts, so this is more than the last lines."""
    return tail(process_logs.find(run, folder, log), _MPIRUN_TAIL)


def mpirun_words(who: ProcessRecord, text: str) -> str:
    """Return what mpirun prints about a failure, to follow the message about a process; may be empty."""
    if is_mpirun(who):
        words = mpirun_output.reason(text)
        return ": %s" % words if words else ""
    words = mpirun_output.refusal(text)
    return "; mpirun: %s" % words if words else ""


def read_rank(folder: str, who: ProcessRecord) -> int | None:
    """Complete the record of one of mpirun's ranks from its file (rank.sh): empty while the rank runs.

    Returns:
        When the file was written, in nanoseconds; None if the rank has not started.
    """
    try:
        with open(os.path.join(folder, "rank-%d" % who["rank"]), encoding="ascii") as file:
            text, when = file.read().strip(), os.fstat(file.fileno()).st_mtime_ns
    except OSError:
        return None
    seconds = round(when / 1e9, 3)
    if text:
        who.update(ended=seconds, **_end(int(text)))
    elif who["started"] is None:
        who["started"] = seconds
    return when


def failed_rank(run: str, folder: str, records: list[ProcessRecord], text: str) -> ProcessRecord | None:
    """Complete the records of mpirun's ranks (rank.sh) and return the rank that failed first.

    Return None if no rank failed by itself: mpirun ends all ranks when it cannot start a process that
    one of them spawns, or when such a process fails.

    Args:
        run: the run folder.
        folder: where rank.sh leaves `rank-N`: empty at its start, the exit code at its end.
        records: of the processes.
        text: what mpirun printed.
    """
    failed: list[tuple[int, ProcessRecord]] = []
    cut: list[ProcessRecord] = []  # killed before rank.sh could write the exit code
    for who in records:
        when = read_rank(folder, who)
        if when is None:
            continue
        if who["ended"] is None:
            who.update(ended=atomic_json.now(), exit_code=None, signal=int(signal.SIGKILL))
            cut.append(who)
        elif who["exit_code"] != 0:
            failed.append((when, who))
    failed.sort(key=lambda item: (item[1]["signal"] == signal.SIGTERM, item[0]))  # as mpirun ends the others
    first = failed[0][1] if failed else None
    by_itself = first is not None and first["signal"] != signal.SIGTERM
    if not by_itself:
        # MPICH and Intel MPI kill every rank.sh as soon as one rank fails.
        ends = [(who, _printed_end(run, folder, who)) for who in cut]
        printed = [(who, end) for who, end in ends if end is not None]
        if len(printed) == 1:
            who, end = printed[0]
            who.update(exit_code=end["exit_code"], signal=end["signal"])
            return who
    named = mpirun_output.first_ranks(text)
    if not named and not by_itself:
        if mpirun_output.reason(text) is not None and not mpirun_output.killed_tasks(text):
            return None
        named = mpirun_output.killed_tasks(text)
        first = first if first and len(cut) != 1 else next(iter(cut), first)
    # Also where another has failed since, such as one that was still to write to mpirun.
    ended = [*cut, *(who for _, who in failed)]
    return next((who for who in ended if who["rank"] in named), first)


def _printed_end(run: str, folder: str, who: ProcessRecord) -> End | None:
    """Return how a rank ended by the last line of its log: from rank.sh, or from MPICH's MPI_Abort."""
    last = (last_lines(run, folder, who) or [""])[-1]
    aborted = re.match(r"Abort\((\d+)\) on node", last)
    if aborted:
        return {"exit_code": int(aborted.group(1)), "signal": None}
    for number in _SIGNALS:
        if last.startswith(signal.strsignal(number) or "?"):
            return {"exit_code": None, "signal": int(number)}
    return None


def _end(code: int) -> End:
    """Return how a process ended by the exit code that its shell saw."""
    killed = code > 128  # noqa: PLR2004  # a shell's exit code for a signal
    return {"exit_code": None if killed else code, "signal": code - 128 if killed else None}
