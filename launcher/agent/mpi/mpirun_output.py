"""What mpirun, or srun, prints when a run fails: the rank that failed first, or why it failed itself."""

from __future__ import annotations

import re

_LONGEST = 300
_LINES = 20

# The rank that failed first. By a signal: Open MPI, MPICH and Intel MPI. By an exit code: Open MPI 4 and 5,
# where job 1 holds the ranks and the next ones the processes that they spawn.
_BY_SIGNAL = (
    re.compile(r"process rank (\d+) with PID \d+ on\s+node \S+ exited on signal"),
    re.compile(r"RANK (\d+) PID \d+ RUNNING AT \S+\n=\s+KILLED BY SIGNAL"),
)
_BY_EXIT_CODE = re.compile(r"Process name: \[(?:\[\d+,1\]|[^\]\s]+@1),(\d+)\]")
_BY_SRUN = re.compile(r"srun: error: \S+ tasks? (\d+): Killed")
_SPAWNED = "Child job "
"""In Open MPI's text about a process that a rank spawned."""

# Open MPI prints its messages between lines of dashes (help-*.txt, below its share folder).
_RULE = re.compile(r"^-{60,}$", re.MULTILINE)
_WARNING = re.compile(
    r"\s*WARNING|\s*By default, for Open MPI|\s*A process has executed an operation involving a call"
    r"|(?s:.*)Another transport will be used instead"
)
_CONSEQUENCE = re.compile(
    r"\s*(Primary|Child) job|\s*MPI_ABORT was invoked"
    r"|\s*\S+ (detected that one|noticed that|has exited due to)"
)
_ERROR = re.compile(r"\b(error|unrecognized|unable to|could not|cannot|invalid)\b", re.IGNORECASE)


def first_ranks(text: str) -> list[int]:
    """Return the ranks that mpirun names as the first to fail."""
    patterns = (_BY_EXIT_CODE,) if _SPAWNED in text else (_BY_EXIT_CODE, *_BY_SIGNAL)
    return [int(rank) for pattern in patterns for rank in pattern.findall(text)]


def killed_tasks(text: str) -> list[int]:
    """Return the ranks that srun names as killed; unlike mpirun it names all."""
    return [int(rank) for rank in _BY_SRUN.findall(text)]


def refusal(text: str) -> str | None:
    """Return in one line why mpirun could not start a process, None if it printed no such message."""
    return next((_one_line(block) for block in _messages(text) if not _CONSEQUENCE.match(block)), None)


def reason(text: str) -> str | None:
    """Return in one line why mpirun failed: a refusal, else its first message or line about an error."""
    blocks = [_one_line(block) for block in _messages(text)]
    lines = [line.strip()[:_LONGEST] for line in text.splitlines() if _ERROR.search(line)]
    return next(iter([text for text in (refusal(text),) if text] + blocks + lines), None)


def lines(text: str) -> list[str]:
    """Return the last lines, or those from mpirun's refusal on if it is above them."""
    every = text.splitlines()
    starts = [block for block in _messages(text) if not _CONSEQUENCE.match(block)]
    if starts:
        above = text[: text.index(starts[0])].count("\n") + 1
        every = every[: above + _LINES]
    return every[-_LINES:]


def _messages(text: str) -> list[str]:
    """Return Open MPI's messages, without warnings."""
    blocks = _RULE.split(text)[1::2]
    return [block for block in blocks if block.strip() and not _WARNING.match(block)]


def _one_line(block: str) -> str:
    """Return the first paragraph, with the next one if it announces that."""
    paragraphs = [" ".join(part.split()) for part in re.split(r"\n\s*\n", block.strip())]
    text = paragraphs[0]
    if text.endswith(":") and len(paragraphs) > 1:
        text += " " + paragraphs[1]
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
