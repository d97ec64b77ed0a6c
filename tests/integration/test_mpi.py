"""Real MPI programs on this machine, and what a run says when mpirun or a rank fails."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from launcher.paths import cache_root
from launcher.store.runs import read_run
from tests.integration.conftest import Lab

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.mpi,
    pytest.mark.skipif(shutil.which("mpirun") is None, reason="no mpirun on PATH"),
]

NODES = pytest.mark.parametrize(
    "words", [("processes_per_node=2",), ("nodes=2",)], ids=["one node", "two nodes"]
)

FEATURES = """\
from mpi4py import MPI

world = MPI.COMM_WORLD
assert MPI.Query_thread() == MPI.THREAD_MULTIPLE
right, left = (world.rank + 1) % world.size, (world.rank - 1) % world.size


def exchange(window):
    window.Fence()
    window.Put(bytes([world.rank + 1]), right)
    window.Fence()
    got = bytearray(1)
    window.Get(got, right)
    window.Fence()
    window.Lock(right)
    window.Accumulate(bytes([10]), right)
    window.Unlock(right)
    world.Barrier()
    own = bytearray(1)
    window.Lock(world.rank)
    window.Get(own, world.rank)
    window.Unlock(world.rank)
    window.Free()
    assert (got[0], own[0]) == (world.rank + 1, left + 11), (got, own)


exchange(MPI.Win.Allocate(1, comm=world))
exchange(MPI.Win.Create(bytearray(1), comm=world))

node = world.Split_type(MPI.COMM_TYPE_SHARED)
window = MPI.Win.Allocate_shared(1, comm=node)
memory, _ = window.Shared_query(0)
window.Fence()
if node.rank == 0:
    memory[0] = 7
window.Fence()
assert memory[0] == 7
window.Free()

file = MPI.File.Open(world, "outputs/ranks", MPI.MODE_CREATE | MPI.MODE_RDWR)
file.Write_at_all(world.rank, bytes([65 + world.rank]))
file.Close()
print(node.size)
"""

SPAWN = """\
import sys
from mpi4py import MPI

parent = MPI.Comm.Get_parent()
if parent != MPI.COMM_NULL:
    if "die" in sys.argv:
        print("child dies", flush=True)
        sys.exit(5)
    between = parent
else:
    program, *arguments = [sys.executable if word == "python" else word for word in sys.argv[2].split(",")]
    between = MPI.COMM_WORLD.Spawn(program, args=arguments, maxprocs=2)
everyone = between.Merge()
total = everyone.allreduce(1)
everyone.Free()
between.Disconnect()
if parent == MPI.COMM_NULL:
    print(total)
"""

C_PROGRAM = """\
#include <mpi.h>
#include <stdio.h>
int main(int count, char **words) {
    int rank;
    MPI_Init(&count, &words);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    printf("%s from %d\\n", words[1], rank);
    fflush(stdout);
    if (words[2] && rank == 1) MPI_Abort(MPI_COMM_WORLD, 3);
    MPI_Barrier(MPI_COMM_WORLD);
    return MPI_Finalize();
}
"""


class MpiLab(Lab):
    """Launches with mpi4py, whose environment stays in the cache of this machine."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.env["LAUNCHER_CACHE"] = str(cache_root())
        self.runs = 0

    def line(self, *words: str) -> list[str]:
        """See `Lab.line`."""
        made = super().line(*words, "distribution=mpi")
        program = [word for word in made if not word.startswith("script=")]
        kept = program if any(word.startswith("command=") for word in words) else made
        return ["environment=packages" if word == "environment=current" else word for word in kept]

    def failure(self, *words: str) -> tuple[str, list[str]]:
        """Launch; return the message and the lines of the cause."""
        self.runs += 1
        done = self.launch(*words)
        assert done.returncode == 1, done.stderr
        cause = read_run(self.run(self.runs)).cause
        assert cause is not None
        return cause.message, list(cause.last_lines)


@pytest.fixture
def mpi(tmp_path: Path) -> Iterator[MpiLab]:
    """Return a lab for MPI programs."""
    made = MpiLab(tmp_path)
    yield made
    made.clean_up()


@NODES
def test_windows_shared_memory_and_files(mpi: MpiLab, words: tuple[str, ...]) -> None:
    mpi.script(FEATURES)
    done = mpi.launch(*words)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ("1\n" if words == ("nodes=2",) else "2\n")
    assert (mpi.run().outputs / "ranks").read_bytes() == b"AB"


@NODES
def test_ranks_spawn_processes(mpi: MpiLab, words: tuple[str, ...]) -> None:
    mpi.script(SPAWN)
    done = mpi.launch(*words, "args.spawn='python,script.py'")
    assert (done.returncode, done.stdout) == (0, "4\n"), done.stderr


@NODES
def test_a_spawned_program_that_does_not_exist(mpi: MpiLab, words: tuple[str, ...]) -> None:
    mpi.script(SPAWN)
    message, lines = mpi.failure(*words, "args.spawn=./nope")
    assert message.startswith("mpirun on ")
    assert "could not access or execute an executable: Executable: ./nope" in message
    assert "or execute an executable:" in lines


def test_a_spawned_process_that_fails(mpi: MpiLab) -> None:
    mpi.script(SPAWN)
    message, lines = mpi.failure("processes_per_node=2", "args.spawn='python,script.py,die'")
    assert "exited with 5: Child job 2 terminated normally" in message
    assert lines[0].startswith("child dies")


@NODES
def test_a_program_that_does_not_exist(mpi: MpiLab, words: tuple[str, ...]) -> None:
    mpi.script("", "data.txt")
    for program in ("./nope", "./data.txt", "nosuchprogram"):
        message, lines = mpi.failure(*words, f"command=[{program}]")
        assert message.startswith("rank ")
        assert message.endswith(" exited with 127")
        assert lines == [f"{program}: no such program, or not executable"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--bind-to", "cores"], "The specified binding policy is not recognized: Policy: cores"),
        (["--nosuch"], 'Error: unknown option "--nosuch"'),
        (["--nooversubscribe", "-H", "localhost:1"], "There are not enough slots available in the system"),
        (["-wdir", "/nonexistent"], "it could not change to the specified working directory"),
    ],
)
def test_mpirun_refuses_to_start(mpi: MpiLab, words: list[str], expected: str) -> None:
    options = f"distribution.mpi_args=[{','.join(words)}]"
    message, lines = mpi.failure("processes_per_node=2", "command=[true]", options)
    assert message.startswith("mpirun on ")
    assert expected in message
    assert any(words[-1].split(":")[0] in line or "slots" in line for line in lines)
    logs = mpi.command("runs", "logs", mpi.run().id)
    assert logs.returncode == 0
    assert "--process mpirun-0" in logs.stderr


@pytest.mark.skipif(shutil.which("mpicc") is None, reason="no mpicc on PATH")
@NODES
def test_a_program_in_c(mpi: MpiLab, words: tuple[str, ...]) -> None:
    source = mpi.source / "program.c"
    source.write_text(C_PROGRAM)
    subprocess.run(["mpicc", "-o", source.with_suffix(""), source], check=True)
    done = mpi.launch(*words, "command=[./program,hello]")
    assert (done.returncode, done.stdout) == (0, "hello from 0\n"), done.stderr
    mpi.runs = 1
    message, lines = mpi.failure(*words, "command=[./program,bye,abort]")
    assert (message.split()[:2], message.split()[-1]) == (["rank", "1"], "3")
    assert lines[0] == "bye from 1"


@pytest.mark.skipif(shutil.which("mpicc") is None, reason="no mpicc on PATH")
def test_a_program_whose_library_is_missing(mpi: MpiLab) -> None:
    folder = mpi.source
    (folder / "part.c").write_text("int part(void) { return 0; }\n")
    (folder / "main.c").write_text("int part(void); int main(void) { return part(); }\n")
    subprocess.run(["mpicc", "-shared", "-fPIC", "-o", "libpart.so", "part.c"], cwd=folder, check=True)
    subprocess.run(["mpicc", "-o", "main", "main.c", "-L.", "-lpart"], cwd=folder, check=True)
    (folder / "libpart.so").unlink()
    message, lines = mpi.failure("processes_per_node=2", "command=[./main]")
    assert message.endswith("exited with 127")
    assert "libpart.so" in lines[-1]
