import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from launcher import cli
from launcher.cli.completion import BASH, SCRIPTS, complete
from launcher.paths import RunFolder, StoreFolder
from launcher.store.sweeps import NewMember, create_sweep
from tests.unit.cli.conftest import make


@pytest.mark.parametrize(
    ("words", "some"),
    [
        (["ru"], ["runs"]),
        (["runs", "sh"], ["show"]),
        (["runs", "show", ""], ["latest", "mnist/latest", "mnist/1"]),
        (["runs", "show", "mnist/"], ["mnist/latest", "mnist/1"]),
        (["runs", "logs", "--r"], ["--rank"]),
        (["runs", "logs", "-"], ["-f", "--rank", "--json", "--store", "--help"]),
        (["runs", "list", "st"], ["state="]),
        (["runs", "list", "state=f"], ["state=failed", "state=finalizing"]),
        (["runs", "list", "name="], ["name=mnist"]),
        (["runs", "logs", "mnist/1", "--process", ""], ["worker-0", "worker-1"]),
        (["runs", "logs", "--process", "worker-1", ""], ["mnist/1"]),
        (["runs", "logs", "mnist/1", "--rank", ""], ["0", "1"]),
        (["runs", "logs", "--attempt", ""], ["0"]),
        (["swe"], ["sweeps"]),
        (["sweeps", "re"], ["resume"]),
        (["sweeps", "wait", "--t"], ["--timeout"]),
        (["sweeps", "show", ""], ["latest", "5eed"]),
        (["completion", ""], ["bash", "zsh", "fish"]),
        (["distrib"], ["distribution=", "distribution."]),
        (["distribution=ho"], ["distribution=horovod"]),
        (["distribution=horovod", "distribution.con"], ["distribution.controller="]),
        (["+exp"], ["+experiment="]),
        (["nodes="], ["nodes=1"]),
        (["-m", "dry_run="], ["dry_run=false"]),
    ],
)
def test_words_are_completed(failed: RunFolder, words: list[str], some: list[str]) -> None:
    assert failed.submit.exists()
    sweep = StoreFolder(failed.root.parents[2]).sweep("5eed")
    create_sweep(sweep, [NewMember(failed, (), "", "")], None, None)
    found = complete(words)
    assert set(some) <= set(found)
    assert all(word.startswith(words[-1]) for word in found)


@pytest.mark.parametrize(
    "words",
    [
        ["init", ""],
        ["runs", "show", "--store", ""],
        ["runs", "list", "since="],
        ["runs", "list", "--limit", ""],
        ["runs", "download", "mnist/1", "--output", ""],
        ["runs", "wait", "--timeout", ""],
        ["runs", "logs", "mnist/9", "--rank", ""],
        ["runs", "shw", ""],
        ["sweeps", "list", ""],
        ["wrong=1", "nod"],
        ["--wrong", "nod"],
        ["distribution=wrong", "nod"],
    ],
)
def test_where_there_is_no_way_on_nothing_is_offered(failed: RunFolder, words: list[str]) -> None:
    assert failed.submit.exists()
    assert complete(words) == []


def test_a_store_that_is_given_is_looked_into(failed: RunFolder, tmp_path: Path) -> None:
    assert failed.submit.exists()
    assert complete(["runs", "show", "--store", str(tmp_path / "none"), ""]) == ["latest"]


def test_the_projects_own_conf_is_offered(failed: RunFolder, tmp_path: Path) -> None:
    assert failed.submit.exists()
    (tmp_path / "pyproject.toml").write_text('[tool.launcher]\nconf = "conf"\n')
    (tmp_path / "conf" / "experiment").mkdir(parents=True)
    (tmp_path / "conf" / "experiment" / "own.yaml").write_text("nodes: 2\n")
    assert "experiment=own" in complete(["experiment="])


@pytest.mark.parametrize("shell", list(SCRIPTS))
def test_scripts_are_printed_and_can_be_read_by_their_shell(
    shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert "completion query" in script
    if shutil.which(shell) and shell != "fish":
        subprocess.run([shell, "-n"], input=script, check=True, text=True)


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        ("launcher runs sh", "show"),
        ("launcher distribution=ho", "horovod"),
        ("launcher runs list state=fa", "failed"),
        ("launcher runs show mnist/1", ""),
    ],
)
def test_bash_gets_what_follows_its_word_break(tmp_path: Path, line: str, reply: str) -> None:
    answers = {"sh": "show", "distribution=ho": "distribution=horovod", "state=fa": "state=failed"}
    cases = "".join(f"{word}) echo {answer} ;;\n" for word, answer in answers.items())
    fake = f'launcher() {{ case "${{@: -1}}" in\n{cases} esac; }}\n'
    ask = f"COMP_LINE='{line}'; COMP_POINT={len(line)}; COMP_WORDS=(x); COMP_CWORD=0\n_launcher_complete\n"
    script = tmp_path / "script"
    script.write_text(f'{BASH}\n{fake}\n{ask}echo "${{COMPREPLY[*]}}"\n')
    done = subprocess.run(["bash", str(script)], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == reply


def test_an_id_that_begins_as_typed_is_offered_however_old(failed: RunFolder) -> None:
    store = StoreFolder(failed.root.parents[2])
    for number in range(2, 70):
        make(store, number)
    assert "mnist/1" not in complete(["runs", "show", ""])
    assert "mnist/7" in complete(["runs", "show", "mnist/"])
    assert {"mnist/1", "mnist/10", "mnist/19"} <= set(complete(["runs", "show", "mnist/1"]))


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        ("python -m launcher ru", "runs"),
        (f"{sys.executable} -m launcher runs sh", "show"),
        ("python3 -m launcher runs list state=fa", "failed"),
        ("python -m pip ins", "of python"),
        ("python ru", "of python"),
    ],
)
@pytest.mark.parametrize("before", ["complete -F _before python", ""])
def test_bash_completes_the_module_and_leaves_other_lines_of_python(
    line: str, reply: str, before: str, tmp_path: Path
) -> None:
    fake = "_before() { COMPREPLY=('of python'); }\n"
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    ask = f"COMP_LINE='{line}'; COMP_POINT={len(line)}\n"
    script = tmp_path / "script"
    load = f"{BASH}\n{BASH}\n"  # a shell may read its start file twice
    call = "_launcher_complete_python python 2> /dev/null\n"  # compopt works in a completion alone
    script.write_text(f'{fake}{before}\n{load}{ask}{call}echo "${{COMPREPLY[*]}}"\n')
    done = subprocess.run(
        ["bash", str(script)],
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        capture_output=True,
        check=True,
        text=True,
    )
    assert done.stdout.strip() == ("" if reply == "of python" and not before else reply)
    assert done.stderr == ""
