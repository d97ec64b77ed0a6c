"""Values and file names that are no UTF-8, from the command line to processes, records and tables."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.conftest import Lab

ODD = b"caf\xe9"
TEXT = os.fsdecode(ODD)
TELLS = """\
import os, sys
with open(b"outputs/t\\xe9ll-" + os.environb[b"LAUNCHER_RANK"], "wb") as file:
    file.write(b"|".join([*map(os.fsencode, sys.argv), os.environb.get(b"ODD", b"")]))
os.write(1, b"said \\xe9\\n")
"""
NEEDS_MPI = pytest.mark.skipif(shutil.which("mpirun") is None, reason="no mpirun on PATH")


def launcher(lab: Lab, *words: str | bytes, **env: str) -> subprocess.CompletedProcess[bytes]:
    """Run the launcher with words that need be no UTF-8."""
    return subprocess.run(
        [sys.executable, "-m", "launcher", *words],
        cwd=lab.source.parent,
        env={**lab.env, **env},
        capture_output=True,
        check=False,
        timeout=240,
    )


def launch(lab: Lab, *words: str | bytes, **env: str) -> subprocess.CompletedProcess[bytes]:
    fixed = ["framework=python", "environment=current", "data=none", "name=mnist"]
    source = [] if any(b"source=" in os.fsencode(word) for word in words) else [f"source={lab.source}"]
    return launcher(lab, *fixed, *source, *words, **env)


@pytest.mark.parametrize("locale", ["C.UTF-8", "C", "legacy"])
def test_arguments_variables_and_paths_arrive_as_the_same_bytes(lab: Lab, locale: str) -> None:
    folder = lab.source.parent / os.fsdecode(b"s\xe9 x")
    folder.mkdir()
    (folder / os.fsdecode(b"scr\xe9.py")).write_text(TELLS)
    env = {"LC_ALL": "C", "PYTHONUTF8": "0"} if locale == "legacy" else {"LC_ALL": locale}
    words = [b'source="s\xe9 x"', b'script="scr\xe9.py"', b'args.x="caf\xe9"', b'env.ODD="\xe9\xff"']
    done = launch(lab, *words, "args.y='café'", b"args.l=[a,'\xfe']", **env)
    assert (done.returncode, done.stdout) == (0, b"said \xe9\n"), done.stderr
    written = (lab.run().outputs / os.fsdecode(b"t\xe9ll-0")).read_bytes()
    assert written == b"scr\xe9.py|-x|caf\xe9|-y|" + "café".encode() + b"|-l|a|\xfe|\xe9\xff"


@pytest.mark.parametrize(
    "distribution",
    ["torch", pytest.param("mpi", marks=NEEDS_MPI)],
)
def test_every_rank_gets_them(lab: Lab, distribution: str) -> None:
    lab.script(TELLS)
    words = [f"distribution={distribution}", "nodes=2", b"args.x='caf\xe9'", b"env.ODD='\xe9'"]
    done = launch(lab, *words, "script=script.py")
    assert done.returncode == 0, done.stderr
    written = {path.read_bytes() for path in lab.run().outputs.iterdir()}
    assert written == {b"script.py|-x|caf\xe9|\xe9"}


def test_what_is_kept_of_them_is_shown_listed_and_run_again(lab: Lab, tmp_path: Path) -> None:
    lab.script(TELLS)
    assert launch(lab, "-m", "script=script.py", b"args.x='caf\xe9','b'").returncode == 0
    assert json.loads((lab.run().root / "spec.json").read_text("ascii"))["args"] == ["-x", TEXT]
    assert "caf\\uDCE9" in (lab.run().config).read_text("utf-8")
    name = os.fsdecode(b"outputs/t\xe9ll-0")
    assert name in json.loads((lab.run().root / "manifest.json").read_text("ascii"))["files"]
    for words in (
        ["runs", "list"],
        ["sweeps", "show", "latest"],
        ["runs", "show", "mnist/1"],
        ["runs", "files", "mnist/1"],
        ["runs", "logs", "mnist/1"],
    ):
        shown = launcher(lab, *words)
        assert (shown.returncode, shown.stderr) == (0, b"")
        assert b"\xe9" in shown.stdout
        as_json = launcher(lab, *words, "--json")
        assert as_json.returncode == 0
        text = as_json.stdout.decode("ascii")
        assert [json.loads(line) for line in text.splitlines()] if "logs" in words else json.loads(text)
        assert ("\\udce9" in text) == ("logs" not in words)  # a log is text with replacements
    assert launcher(lab, "runs", "download", "mnist/1", "-o", str(tmp_path / "copy")).returncode == 0
    assert (tmp_path / "copy" / name).is_file()
    assert launcher(lab, "runs", "download", "mnist/1", os.fsencode(name), "-o", b"\xe9").returncode == 0
    assert (tmp_path / os.fsdecode(b"\xe9") / name.partition("/")[2]).is_file()
    assert launcher(lab, "runs", "rerun", "mnist/1").returncode == 0
    assert (lab.run(3).root / name).read_bytes() == b"script.py|-x|caf\xe9|"
    (lab.source.parent / "none").mkdir()
    same = launcher(lab, "sweeps", "resume", "latest", b"args.x='caf\xe9','b'")
    assert same.returncode == 0, same.stderr


def test_a_store_and_a_cache_of_such_names(lab: Lab) -> None:
    lab.script(TELLS)
    store = os.fsdecode(b"st\xe9re")
    done = launch(lab, "script=script.py", LAUNCHER_STORE=store, LAUNCHER_CACHE=os.fsdecode(b"c\xe9"))
    assert done.returncode == 0, done.stderr
    listed = launcher(lab, "runs", "list", "--store", b"st\xe9re", LAUNCHER_CACHE=os.fsdecode(b"c\xe9"))
    assert (listed.returncode, b"mnist/1  Completed" in listed.stdout) == (0, True)


def test_other_values_are_one_problem_each(lab: Lab) -> None:
    lab.script(TELLS)
    wrong = [b"tags.a='\xe9'", b"description='\xe9'", b"objective='\xe9'", b"name='\xe9'"]
    done = launch(lab, "script=script.py", *wrong)
    assert done.returncode == 2
    assert [line.partition(b":")[0] for line in sorted(done.stderr.splitlines())] == [
        b"description",
        b"name",
        b"objective",
        b"tags.a",
    ]
    for words in ([b"args.\xe9=1"], [b"args.x=caf\xe9"], [b"--\xe9"], [b"wr\xe9ng=1"]):
        done = launch(lab, "script=script.py", *words)
        assert (done.returncode, b"Traceback" in done.stderr, b"\xe9" in done.stderr) == (2, False, True)
    assert not lab.store.root.exists()


@pytest.mark.parametrize(
    "words",
    [
        ["runs", "show", b"\xe9"],
        ["runs", "wait", b"\xe9/1"],
        ["runs", "cancel", b"mnist/\xe9"],
        ["runs", "list", b"\xe9=1"],
        ["sweeps", "show", b"\xe9"],
        ["env", "show", b"\xe9"],
        [b"r\xe9ns"],
    ],
)
def test_ids_that_are_none(lab: Lab, words: list[str | bytes]) -> None:
    lab.script("print(1)")
    lab.launch()
    done = launcher(lab, *words)
    assert (done.returncode, b"Traceback" in done.stderr) == (2, False)


def test_filters_completion_and_folders_that_are_no_runs(lab: Lab) -> None:
    lab.script("print(1)")
    lab.launch()
    (lab.store.runs / os.fsdecode(b"\xe9")).mkdir()
    assert b"mnist/1" in launcher(lab, "runs", "list").stdout
    for word in (b"name=\xe9", b"sweep=\xe9", b"tag=\xe9", b"tag=a=\xe9"):
        done = launcher(lab, "runs", "list", word, "--json")
        assert (done.returncode, json.loads(done.stdout)) == (0, [])
    for words in ([b"args.x=\xe9"], ["runs", "list", b"name=\xe9"], ["runs", "show", b"\xe9"], [b"\xe9"]):
        done = launcher(lab, "completion", "query", "--", *words)
        assert (done.returncode, done.stderr) == (0, b"")


def test_half_a_character_has_no_bytes(lab: Lab) -> None:
    conf = lab.source.parent / "conf" / "experiment"
    conf.mkdir(parents=True)
    (conf / "half.yaml").write_text('# @package _global_\nargs:\n  x: "\\ud800"\nenv:\n  A: "\\udfff"\n')
    lab.script("print(1)")
    done = launch(lab, "--config-dir", "conf", "experiment=half", "script=script.py")
    assert done.returncode == 2
    places = [line.partition(b": got")[0].rpartition(b"/")[2] for line in done.stderr.splitlines()]
    assert places == [b"half.yaml:3", b"half.yaml:5"]
