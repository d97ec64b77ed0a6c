"""`launcher completion bash|zsh|fish`: completion of commands, ids, filters and overrides."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

from launcher.cli import parser_of
from launcher.cli.output import Parser, open_store, say
from launcher.commands import COMMANDS
from launcher.errors import LauncherError
from launcher.paths import LATEST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from launcher.paths import StoreFolder

# The shells give the words before the cursor and the one that it is in; what comes back is whole words.
# bash splits words at '=' and ':', so it gives the line, and gets back what follows the last of these.
# `python -m launcher` is completed as well; other lines of python keep the completion that they had.
BASH = r"""_launcher_complete() {
    local line="${COMP_LINE:0:COMP_POINT}" words word before
    local -a ask=(launcher)
    read -r -a words <<< "$line"
    [[ "$line" == *[[:space:]] ]] && words+=("")
    if [[ "${words[1]} ${words[2]}" == "-m launcher" ]]; then
        ask=("${words[0]}" -m launcher)
        words=("${words[@]:2}")
    fi
    word="${words[${#words[@]}-1]}"
    before="${word%"${word##*[=:]}"}"
    [[ "$COMP_WORDBREAKS" == *=* ]] || before=""
    local IFS=$'\n'
    COMPREPLY=($("${ask[@]}" completion query -- "${words[@]:1}" 2> /dev/null))
    COMPREPLY=("${COMPREPLY[@]#"$before"}")
    [[ "${#COMPREPLY[@]}" == 1 && "${COMPREPLY[0]}" == *[=./] ]] && compopt -o nospace
}
_launcher_complete_python() {
    local words
    read -r -a words <<< "${COMP_LINE:0:COMP_POINT}."
    if [[ "${words[1]} ${words[2]}" == "-m launcher" ]]; then
        _launcher_complete
    elif [[ -n "$_launcher_python" ]]; then
        "$_launcher_python" "$@"
    else
        compopt -o default
    fi
}
if [[ "$(complete -p python 2> /dev/null)" =~ \ -F\ ([^ ]+) ]]; then
    [[ "${BASH_REMATCH[1]}" == _launcher_complete_python ]] || _launcher_python="${BASH_REMATCH[1]}"
fi
complete -o bashdefault -o default -F _launcher_complete launcher
complete -o bashdefault -o default -F _launcher_complete_python python python3
"""
ZSH = r"""#compdef launcher
_launcher_complete() {
    local -a found ask
    local first=2
    ask=(launcher)
    if [[ "${words[2]} ${words[3]}" == "-m launcher" ]]; then
        ask=("${words[1]}" -m launcher)
        first=4
    fi
    found=("${(@f)$("${ask[@]}" completion query -- "${(@)words[first,CURRENT]}" 2> /dev/null)}")
    found=("${(@)found:#}")
    compadd -Q -S '' -- ${found:#^*[=./]}
    compadd -Q -- ${found:#*[=./]}
}
_launcher_complete_python() {
    if [[ "${words[2]} ${words[3]}" == "-m launcher" ]] && (( CURRENT > 3 )); then
        _launcher_complete
    elif (( $+functions[_python] )); then
        _python "$@"
    else
        _default
    fi
}
compdef _launcher_complete launcher
compdef _launcher_complete_python python python3
"""
FISH = r"""function __launcher_complete
    set -l words (commandline -opc) (commandline -ct)
    if test "$words[2..3]" = "-m launcher"
        $words[1..3] completion query -- $words[4..-1] 2> /dev/null
    else
        launcher completion query -- $words[2..-1] 2> /dev/null
    end
end
function __launcher_is_module
    set -l words (commandline -opc)
    test "$words[2..3]" = "-m launcher"
end
complete -c launcher -f -a '(__launcher_complete)'
complete -c python -n __launcher_is_module -f -a '(__launcher_complete)'
complete -c python3 -n __launcher_is_module -f -a '(__launcher_complete)'
"""
SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}
HOWTO = {
    "bash": 'eval "$(launcher completion bash)"',
    "zsh": 'eval "$(launcher completion zsh)"',
    "fish": "launcher completion fish | source",
}
NEWEST = 50
"""How many ids are offered before anything is typed; then all that begin with it."""


def add_options(parser: Parser) -> None:
    """Add the options of this command."""
    parser.epilog = "To use it, put into the shell's start file: " + "; ".join(HOWTO.values())
    parser.add_argument("shell", choices=list(SCRIPTS))


def run(words: Sequence[str]) -> int:
    """Print the script of a shell, or answer its question (`query -- WORDS`)."""
    if words and words[0] == "query":
        words = words[2:] if words[1:2] == ["--"] else words[1:]
        say("\n".join(complete(words or [""])))
        return 0
    say(SCRIPTS[parser_of("completion").parse_args(words).shell].rstrip())
    return 0


def complete(words: Sequence[str]) -> list[str]:
    """Return what the last word may become; nothing where there is no way on."""
    *before, word = words
    try:
        if before and before[0] in COMMANDS:
            found = _command(before, word)
        else:
            found = [] if before else list(COMMANDS)
            found += _overrides(before, word)
    except LauncherError:
        return []
    return [each for each in found if each.startswith(word)]


def _command(before: Sequence[str], word: str) -> Iterable[str]:
    noun, *words = before
    command = COMMANDS[noun]
    if not command.verbs:
        return () if words else COMPLETIONS[command.operand]([], word)
    if not words:
        return command.verbs
    verb, *words = words
    if verb not in command.verbs:
        return ()
    flags = parser_of(noun, verb)
    if word.startswith("-"):
        return sorted(flags.flags())
    if flags.takes_value(before[-1]):
        return _values(words)
    return COMPLETIONS[command.verbs[verb].operand](words, word)


def _values(words: Sequence[str]) -> Iterable[str]:
    """Return what may follow the flag at the end of these words."""
    if words[-1] not in {"--process", "--rank", "--attempt"}:
        return ()
    from launcher.store.find import find_run  # noqa: PLC0415
    from launcher.store.logs import logs  # noqa: PLC0415

    run = next((word for word in words if word == LATEST or "/" in word), LATEST)
    folder = find_run(_store(words), run)
    attempts = folder.attempts()
    if words[-1] == "--attempt":
        return map(str, attempts)
    found = logs(folder, attempts[-1] if attempts else None)
    if words[-1] == "--process":
        return [log.process for log in found]
    return [str(log.rank) for log in found if log.rank is not None]


def _overrides(words: Sequence[str], word: str) -> list[str]:
    """Complete the words of a launch."""
    from launcher.config.completion import complete_overrides  # noqa: PLC0415  # imports Hydra

    return complete_overrides(words, word)


def _keys(_words: Sequence[str], _word: str) -> Iterable[str]:
    """Return the keys of environments; those of images that were built elsewhere are not asked for."""
    from launcher.environment.cache.inventory import places  # noqa: PLC0415  # 20 ms that others do not need
    from launcher.paths import cache_root  # noqa: PLC0415

    return [place.root.name for place in places(cache_root())]


def _filters(words: Sequence[str], word: str) -> Iterable[str]:
    from launcher.spec import State  # noqa: PLC0415
    from launcher.store.filters import KEYS  # noqa: PLC0415

    key, equals, _ = word.partition("=")
    if not equals:
        return [f"{name}=" for name in KEYS]
    if key == "state":
        return [f"state={state.lower()}" for state in State]
    return [f"name={name}" for name in _store(words).experiments()] if key == "name" else ()


def _runs(words: Sequence[str], word: str) -> Iterable[str]:
    from launcher.store.filters import Filters  # noqa: PLC0415
    from launcher.store.index import list_runs  # noqa: PLC0415

    store = _store(words)
    name, slash, _ = word.partition("/")
    filters = Filters(names={name}) if slash else Filters()
    names = [f"{name}/{LATEST}" for name in store.experiments()]
    return [LATEST, *names, *(row["id"] for row in list_runs(store, filters, None if word else NEWEST))]


def _sweeps(words: Sequence[str], word: str) -> Iterable[str]:
    from launcher.store.sweeps import list_sweeps  # noqa: PLC0415

    found = list_sweeps(_store(words), None if word else NEWEST)
    return [LATEST, *(sweep.folder.id for sweep in found)]


def _store(words: Sequence[str]) -> StoreFolder:
    return open_store(next((value for flag, value in pairwise(words) if flag == "--store"), ""))


COMPLETIONS: Final[dict[str, Callable[[Sequence[str], str], Iterable[str]]]] = {
    "": lambda _words, _word: (),
    "filters": _filters,
    "key": _keys,
    "launch": lambda words, word: _overrides([each for each in words if not each.startswith("-")], word),
    "run": _runs,
    "runs": _runs,
    "shell": lambda _words, _word: SCRIPTS,
    "sweep": _sweeps,
}
"""What the operands of a command may be, from the words after the verb and the one that is typed."""
