"""The checks that `check.sh` runs: real launches with `environment=current`, each judged by its records."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

SOURCE = Path(__file__).parent / "source"
LIMIT_S = 90
"""For one launch. The slowest, a sweep of three, takes about 20 s."""


def nvidia_smi(query: str) -> list[str]:
    """Return one line for each GPU, or for each process where `query` asks for processes."""
    argv = ["nvidia-smi", query, "--format=csv,noheader,nounits"]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()


class Checks:
    """A store of its own, and the checks that launch into it."""

    def __init__(self, folder: Path) -> None:
        self.store = folder / "store"
        self.env = {
            **os.environ,
            "LAUNCHER_STORE": str(self.store),
            "LAUNCHER_CACHE": str(folder / "cache"),
            "PYTHONPATH": os.pathsep.join([str(Path.cwd()), os.environ.get("PYTHONPATH", "")]),
        }
        self.gpus = len(nvidia_smi("--query-gpu=index"))

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the launcher to its end."""
        argv = [sys.executable, "-m", "launcher", *words]
        return subprocess.run(
            argv, env=self.env, capture_output=True, text=True, timeout=LIMIT_S, check=False
        )

    def launch(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Launch what `words` say with the Python that runs this."""
        fixed = ["framework=pytorch", "environment=current", "data=none", f"source={SOURCE}"]
        return self.command(
            *[word for word in words if word == "-m"], *fixed, *(w for w in words if w != "-m")
        )

    def outputs(self, name: str, number: int = 1) -> list[dict[str, Any]]:
        """Return what each process of a run wrote about itself, in the order of their file names."""
        folder = self.store / "runs" / name / str(number) / "outputs"
        return [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]

    def visibility(self) -> str:
        """A process sees as many GPUs as the run asks for, and none where it asks for none."""
        seen: list[Any] = []
        for number, gpus in enumerate((0, 1, self.gpus), start=1):
            done = self.launch("name=sees", "script=describe.py", f"gpus_per_node={gpus}")
            assert done.returncode == 0, done.stdout + done.stderr
            found = self.outputs("sees", number)[0]
            assert found["count"] == gpus, found
            seen.append(found["visible"])
        return f"CUDA_VISIBLE_DEVICES with 0, 1 and {self.gpus} GPUs: {seen}"

    def refusal(self) -> str:
        """A run that asks for more GPUs than the machine has is refused before anything is written."""
        done = self.launch("name=refused", "script=describe.py", f"gpus_per_node={self.gpus + 1}")
        assert done.returncode == 2, done
        assert "gpus_per_node" in done.stderr, done.stderr
        assert not (self.store / "runs" / "refused").exists()
        return done.stderr.strip().splitlines()[-1].strip()

    def training(self) -> str:
        """One process trains on the GPU, about as quickly as without the launcher."""
        began = time.monotonic()
        bare = subprocess.run(
            [sys.executable, str(SOURCE / "train.py")], cwd=self.store.parent, capture_output=True, text=True,
            timeout=LIMIT_S, check=True, env={**self.env, "LAUNCHER_METRICS": ""},
        )  # fmt: skip
        bare_s = time.monotonic() - began
        began = time.monotonic()
        done = self.launch("name=train", "script=train.py", "gpus_per_node=1")
        taken_s = time.monotonic() - began
        assert done.returncode == 0, done.stdout + done.stderr + bare.stdout
        found = self.outputs("train")[0]
        assert found["device"].startswith("cuda"), found
        assert found["accuracy"] >= 0.95, found
        return f"accuracy {found['accuracy']:.3f} on {found['name']}, {taken_s:.1f} s; bare {bare_s:.1f} s"

    def turns(self) -> str:
        """Members of a sweep that need a GPU each wait for one another."""
        done = self.launch("-m", "name=turns", "script=train.py", "gpus_per_node=1", "args.seed=1,2,3")
        assert done.returncode == 0, done.stdout + done.stderr
        spans = sorted(
            (found["began"], found["ended"])
            for number in (1, 2, 3)
            for found in self.outputs("turns", number)
        )
        assert len(spans) == 3, spans
        busiest = max(sum(began <= start < ended for began, ended in spans) for start, _ in spans)
        assert busiest <= self.gpus, spans
        return f"3 members, at most {busiest} at a time on {self.gpus} GPU(s)"

    def nccl(self) -> str:
        """`distribution=torch` with one rank a GPU trains through NCCL, to equal weights."""
        words = [f"processes_per_node={self.gpus}", f"gpus_per_node={self.gpus}", "distribution=torch"]
        done = self.launch("name=nccl", "script=train.py", *words)
        assert done.returncode == 0, done.stdout + done.stderr
        found = self.outputs("nccl")
        assert len(found) == self.gpus, found
        assert {each["backend"] for each in found} == {"nccl"}, found
        assert len({each["weights"] for each in found}) == 1, found
        return f"{len(found)} rank(s), NCCL {found[0]['nccl']}, accuracy {found[0]['accuracy']:.3f}"

    def cancel(self) -> str:
        """A canceled run leaves no process and no memory on the GPU."""
        before = sorted(nvidia_smi("--query-compute-apps=pid"))
        memory = int(nvidia_smi("--query-gpu=memory.used")[0])
        done = self.launch("name=held", "script=hold.py", "gpus_per_node=1", "wait=false")
        assert done.returncode == 0, done.stdout + done.stderr
        self._until(lambda: bool(self.outputs("held")), "the script holds memory")
        held = int(nvidia_smi("--query-gpu=memory.used")[0])
        assert held > memory + 1500, (memory, held)
        self.command("runs", "cancel", "held/1")
        waited = self.command("runs", "wait", "held/1")
        assert waited.returncode == 1, waited
        self._until(
            lambda: int(nvidia_smi("--query-gpu=memory.used")[0]) < memory + 500, "the memory is free"
        )
        assert sorted(nvidia_smi("--query-compute-apps=pid")) == before
        return f"{held - memory} MiB held, free again after the cancel"

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + LIMIT_S
        while not condition():
            assert time.monotonic() < deadline, f"not within {LIMIT_S} s: {what}"
            time.sleep(0.2)


def main() -> int:
    """Run all checks, print a line for each; return the exit code."""
    print("\n".join(nvidia_smi("--query-gpu=name,memory.total,driver_version")), flush=True)  # noqa: T201
    failed = 0
    with tempfile.TemporaryDirectory(prefix="gpu-check-") as folder:
        checks = Checks(Path(folder))
        for check in (
            checks.visibility,
            checks.refusal,
            checks.training,
            checks.turns,
            checks.nccl,
            checks.cancel,
        ):
            began = time.monotonic()
            try:
                outcome, text = "passed", check()
            except (AssertionError, OSError, LookupError, subprocess.SubprocessError) as error:
                failed += 1
                outcome, text = "FAILED", f"{type(error).__name__}: {error}"
            print(f"{outcome}  {check.__name__}  {time.monotonic() - began:.1f} s  {text}", flush=True)  # noqa: T201
    return int(failed > 0)


if __name__ == "__main__":
    raise SystemExit(main())
