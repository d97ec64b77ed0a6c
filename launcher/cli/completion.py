"""`launcher completion bash|zsh|fish`: completion of commands, ids, filters and overrides."""

from __future__ import annotations

import argparse
from importlib import import_module
from itertools import pairwise
from typing import TYPE_CHECKING

from launcher.cli import COMMANDS
from launcher.cli.output import Help, say
from launcher.errors import LauncherError
from launcher.paths import StoreFolder
from launcher.project import find_store

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from types import ModuleType

# The shells give the words before the cursor and the one that it is in; what comes back is whole words.
# bash splits words at '=' and ':', so it gives the line, and gets back what follows the last of these.
BASH = r"""_launcher_complete() {
    local line="${COMP_LINE:0:COMP_POINT}" words word before
    read -r -a words <<< "$line"
    [[ "$line" == *[[:space:]] ]] && words+=("")
    [[ "${words[0]}" == python* ]] && words=("${words[@]:2}")
    word="${words[${#words[@]}-1]}"
    before="${word%"${word##*[=:]}"}"
    [[ "$COMP_WORDBREAKS" == *=* ]] || before=""
    local IFS=$'\n'
    COMPREPLY=($(launcher completion query -- "${words[@]:1}" 2> /dev/null))
    COMPREPLY=("${COMPREPLY[@]#"$before"}")
    [[ "${#COMPREPLY[@]}" == 1 && "${COMPREPLY[0]}" == *[=./] ]] && compopt -o nospace
}
complete -o bashdefault -o default -F _launcher_complete launcher
"""
ZSH = r"""#compdef launcher
_launcher_complete() {
    local -a found
    found=("${(@f)$(launcher completion query -- "${(@)words[2,CURRENT]}" 2> /dev/null)}")
    found=("${(@)found:#}")
    compadd -Q -S '' -- ${found:#^*[=./]}
    compadd -Q -- ${found:#*[=./]}
}
compdef _launcher_complete launcher
"""
FISH = r"""function __launcher_complete
    set -l words (commandline -opc) (commandline -ct)
    launcher completion query -- $words[2..-1] 2> /dev/null
end
complete -c launcher -f -a '(__launcher_complete)'
"""
SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}
HOWTO = {
    "bash": 'eval "$(launcher completion bash)"',
    "zsh": 'eval "$(launcher completion zsh)"',
    "fish": "launcher completion fish | source",
}
NEWEST = 50
"""How many ids are offered."""


def main(argv: Sequence[str]) -> int:
    """Print the script of a shell, or answer its question (`query -- WORDS`)."""
    if argv and argv[0] == "query":
        words = argv[2:] if argv[1:2] == ["--"] else argv[1:]
        say("\n".join(complete(words or [""])))
        return 0
    whole = argparse.ArgumentParser(
        prog="launcher completion",
        description="Print a script that completes commands, run ids, filters and overrides.",
        epilog="To use it, put into the shell's start file: " + "; ".join(HOWTO.values()),
        formatter_class=Help,
    )
    whole.add_argument("shell", choices=list(SCRIPTS))
    say(SCRIPTS[whole.parse_args(argv).shell].rstrip())
    return 0


def complete(words: Sequence[str]) -> list[str]:
    """Return what the last word may become; nothing where there is no way on."""
    *before, word = words
    try:
        if before and before[0] in COMMANDS:
            return _command(before, word)
        found = _starting(COMMANDS, word) if not before else []
        from launcher.config.completion import complete_overrides  # noqa: PLC0415  # imports Hydra

        return found + complete_overrides(before, word)
    except LauncherError:
        return []


def _command(before: Sequence[str], word: str) -> list[str]:
    noun = before[0]
    if noun not in {"runs", "sweeps", "compute", "env"}:
        return _starting(SCRIPTS if noun == "completion" else (), word)
    module = import_module(f"launcher.cli.{noun}")
    if len(before) == 1:
        return _starting(module.VERBS, word)
    if before[1] in {"check", "build"}:
        return _launch(module, before, word)
    return _verb(module, before, word)


def _verb(module: ModuleType, before: Sequence[str], word: str) -> list[str]:
    noun = before[0]
    if before[-1] == "--store":
        return []
    if word.startswith("-"):
        return _starting(_options(module.parsers()[1], before[1]), word)
    if noun in {"compute", "env"}:
        return _starting(_keys() if before[1] == "show" else (), word)
    if before[1] == "list":
        return _filters(before, word) if noun == "runs" else []
    return _starting(_ids(before, word) if noun == "runs" else _sweeps(before), word)


def _launch(module: ModuleType, before: Sequence[str], word: str) -> list[str]:
    """Complete a verb that takes the words of a launch."""
    if word.startswith("-"):
        return _starting(_options(module.parsers()[1], before[1]), word)
    from launcher.config.completion import complete_overrides  # noqa: PLC0415  # imports Hydra

    return complete_overrides([one for one in before[2:] if not one.startswith("-")], word)


def _keys() -> list[str]:
    """Return the keys of environments; those of images that were built elsewhere are not asked for."""
    from launcher.environment.inventory import places  # noqa: PLC0415  # 20 ms that others do not need
    from launcher.paths import cache_root  # noqa: PLC0415

    return [place.root.name for place in places(cache_root())]


def _options(known: Mapping[str, argparse.ArgumentParser], verb: str) -> list[str]:
    import re  # noqa: PLC0415

    usage = known[verb].format_usage() if verb in known else ""
    return sorted({*re.findall(r"(?<=\[)--?[\w-]+", usage), "--help"})


def _filters(before: Sequence[str], word: str) -> list[str]:
    from launcher.spec import State  # noqa: PLC0415
    from launcher.store.filters import KEYS  # noqa: PLC0415

    key, equals, _ = word.partition("=")
    if not equals:
        return _starting([f"{name}=" for name in KEYS], word)
    if key == "state":
        return _starting([f"state={state.lower()}" for state in State], word)
    if key == "name":
        return _starting([f"name={name}" for name in _store(before).experiments()], word)
    return []


def _ids(before: Sequence[str], word: str) -> list[str]:
    from launcher.store.filters import Filters  # noqa: PLC0415
    from launcher.store.index import list_runs  # noqa: PLC0415

    store = _store(before)
    name, slash, _ = word.partition("/")
    filters = Filters(names={name}) if slash else Filters()
    names = [f"{name}/latest" for name in store.experiments()]
    return ["latest", *names, *(row["id"] for row in list_runs(store, filters, NEWEST))]


def _sweeps(before: Sequence[str]) -> list[str]:
    from launcher.store.sweeps import list_sweeps  # noqa: PLC0415

    return ["latest", *(sweep.folder.id for sweep in list_sweeps(_store(before), NEWEST))]


def _store(words: Sequence[str]) -> StoreFolder:
    given = next((value for flag, value in pairwise(words) if flag == "--store"), None)
    return StoreFolder(find_store(given))


def _starting(names: Iterable[str], word: str) -> list[str]:
    return [name for name in names if name.startswith(word)]
