"""What the placeholders of a dry run stand for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from launcher.tables import align

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PLACEHOLDERS: Final = {
    "python": "the interpreter of the environment",
    "prefix": "the folder of the environment",
    "host": "the address of node N",
    "node": "the name of node N",
    "interface": "the network interface of the node",
    "subnet": "the network that the nodes share",
    "port": "a free port on the node of that process",
    "data": "the path of that data input",
    "run": "the run folder",
    "agent": "the launcher's own code in the store",
    "secret": "the value of that secret, read at the launch",
    "gpus": "the GPUs of the process",
}
"""What the node fills in, by the first word of `@{word.rest}`."""

CAPITALS: Final = {
    "N": "the run's number",
    "DIGEST": "a digest of the content",
    "KEY": "the image's key",
    "ID": "the sweep's id",
    "K": "the number of the job within the sweep",
    "BOX": "the name of the container of a node",
    "NET": "the name of the run's network",
    "GPUS": "the GPUs that are free when the run starts",
    "AGENT": "the process that starts the container",
    "TOKEN": "the supervisor that owns the container",
    "DAEMON": "what mpirun starts on another node",
    "TMP": "the node's folder for temporary files",
    "NAME": "the name of a process",
    "PROGRAM…": "the command line of a process",
}
"""What only a launch knows, as targets and images describe themselves."""

_CAPITAL = re.compile(r"(?<![\w-])(?:BOX\d*|PROGRAM…|[A-Z]+)(?![\w-])")


def legend(plan: Iterable[str], launch: Iterable[str]) -> Iterator[str]:
    """Yield what the placeholders mean that occur.

    Args:
        plan: lines that have placeholders `@{…}`.
        launch: lines that also have words in capitals, which only a launch knows.
    """
    launch = list(launch)
    found = dict.fromkeys(re.findall(r"@\{([a-z]+)([.\w-]*)\}", "\n".join([*plan, *launch])))
    names = {word: f"@{{{word}{'.…' if rest else ''}}}" for word, rest in found if word in PLACEHOLDERS}
    rows = [(name, PLACEHOLDERS[word]) for word, name in names.items()]
    words = dict.fromkeys(word.rstrip("0123456789") for word in _CAPITAL.findall("\n".join(launch)))
    rows += [(word, CAPITALS[word]) for word in words if word in CAPITALS]
    if rows:
        yield "placeholders"
        yield from (f"  {line}" for line in align(rows))
