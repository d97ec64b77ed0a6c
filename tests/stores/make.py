"""Make the store and the cache of an earlier version again: `python tests/stores/make.py PYTHON FOLDER`.

PYTHON has that version of the launcher, with its extra `test`; FOLDER, which must not exist, gets

    home/project    a project with a few scripts, and its `store`
    home/cache      the cache: an environment, an input, an index
    folders.txt     the folders of `home` that are empty, which git does not keep

Every file is as the version wrote it, but paths, the user, the host and the id of its boot are replaced
(`_neutral`), and what is large or describes the machine is left out (`_unused`). `tests.stores` copies the
home for a test.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HOME = "/home/ada"
HOST = "workstation"
BOOT = "00000000-1111-4222-8333-444444444444"
PYTHON = f"{HOME}/venv/bin/python"
PORT = "18765"

TRAIN = """\
import os, sys, time
from pathlib import Path
from launcher import log_metric

mode = sys.argv[sys.argv.index("--mode") + 1] if "--mode" in sys.argv else "done"
rank = os.environ.get("RANK", "0")
print(f"rank {rank}: {mode}", flush=True)
for step in range(3):
    log_metric("loss", 1 / (step + 1), step=step)
Path("outputs", f"model-{rank}.txt").write_text("weights")
Path("logs", "notes.txt").write_text("of the script")
if mode == "fail" and rank != "1":
    sys.exit("it broke")
if mode == "fail" or (mode == "hold" and "HOLD" in os.environ):
    time.sleep(600)
"""

READ = """\
import os, sys
path = sys.argv[2]
print(open(path).read() if os.path.isfile(path) else sorted(os.listdir(path)))
"""

APP = """\
import hydra
from omegaconf import DictConfig

@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(config: DictConfig) -> float:
    print("lr", config.lr)
    return config.lr * 2

if __name__ == "__main__":
    main()
"""


class Home:
    """The home of a person who uses that version."""

    def __init__(self, python: str, root: Path) -> None:
        self.python = python
        self.project = root / "project"
        self.store = self.project / "store"
        self.env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("LAUNCHER_")},
            "LAUNCHER_STORE": str(self.store),
            "LAUNCHER_CACHE": str(root / "cache"),
            "HOLD": "1",  # scripts that wait do so when they run the first time only
        }
        (self.project / "conf").mkdir(parents=True)
        (self.project / "train.py").write_text(TRAIN)
        (self.project / "read.py").write_text(READ)
        (self.project / "app.py").write_text(APP)
        (self.project / "conf" / "config.yaml").write_text("lr: 0.1\n")

    def launch(self, *words: str, code: int = 0) -> None:
        """Launch `train.py` and wait."""
        self._call(self.line(*words), code)

    def line(self, *words: str) -> list[str]:
        """Return the command line of a launch."""
        first = ["-m"] if "-m" in words else []
        rest = [word for word in words if word != "-m"]
        fixed = {"framework": "python", "data": "none", "environment": "current", "script": "train.py"}
        chosen = [
            f"{key}={value}" for key, value in fixed.items() if not any(w.startswith(f"{key}=") for w in rest)
        ]
        return [self.python, "-m", "launcher", *first, *chosen, "source=.", *rest]

    def app(self, *words: str) -> None:
        """Launch the Hydra app by its own command line."""
        self._call([self.python, "app.py", *words], 0)

    def _call(self, argv: list[str], code: int) -> None:
        done = subprocess.run(argv, cwd=self.project, env=self.env, check=False)
        if done.returncode != code:
            raise SystemExit(f"{argv}: exit code {done.returncode} instead of {code}")

    def wait(self, log: str, text: str) -> None:
        """Wait for a text in a log."""
        path = self.store / "runs" / log
        for _ in range(600):
            if path.is_file() and text in path.read_text():
                return
            time.sleep(0.1)
        raise SystemExit(f"{path} has no {text!r}")

    def canceled(self) -> None:
        """Launch a run and cancel it while it runs."""
        launch = subprocess.Popen(
            self.line("name=canceled", "args.mode=hold"), cwd=self.project, env=self.env
        )
        self.wait("canceled/1/logs/worker-0.log", "hold")
        self._call([self.python, "-m", "launcher", "runs", "cancel", "canceled/1"], 0)
        launch.wait()

    def cut_off(self) -> None:
        """Launch a sweep, and kill its supervisor while the third member runs and the fourth waits."""
        words = ["-m", "name=sweep", "compute.max_parallel=1", "args.mode=done,fail,hold,done2"]
        words += [
            "args.rate=0.5",
            "args.layers=[30,100]",
            "args.flag=true",
            "+args.at=12:30:45",
            "args.no=null",
        ]
        words += ["env.LEVEL=1", "tags.team=vision"]
        launch = subprocess.Popen(self.line(*words), cwd=self.project, env=self.env)
        self.wait("sweep/3/logs/worker-0.log", "hold")
        self.wait("sweep/3/attempts/0/state.json", '"Running"')
        launch.kill()
        launch.wait()
        third = self.store / "runs" / "sweep" / "3"
        for path in (third / "attempts" / "0" / "state.json", third / "submit.json"):
            os.kill(json.loads(path.read_text())["owner"]["pid"], signal.SIGKILL)

    def fetched(self) -> None:
        """Launch a run with an input that is fetched from a server."""
        served = self.project.parent / "served"
        served.mkdir()
        (served / "labels.csv").write_text("a,b\n1,2\n")
        argv = [self.python, "-m", "http.server", "--bind", "127.0.0.1", "--directory", str(served), PORT]
        server = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            time.sleep(2)
            uri = f"+data.inputs.labels.uri=http://127.0.0.1:{PORT}/labels.csv"
            self.launch("name=fetched", uri, "script=read.py", "args.file=${data:}")
        finally:
            server.terminate()
            server.wait()


def make(python: str, root: Path) -> None:
    """Make the runs, in the order in which they are listed."""
    home = Home(python, root)
    home.launch("name=trained", "tags.team=vision", "args.steps=3")
    home.launch("name=broken", "distribution=torch", "nodes=2", "args.mode=fail", code=1)
    home.canceled()
    home.launch("name=digits", "data=digits", "script=read.py", "args.folder=${data:}")
    home.fetched()
    packages = ("environment=packages", "environment.pip_packages=[six==1.17.0]")
    home.launch("name=packages", *packages, "script=read.py", "args.folder=.")
    home.app("-m", "hydra/launcher=launcher_local", "hydra.sweep.dir=../multirun", "lr=0.1,0.2")
    home.cut_off()  # last: any later command would settle it


def _keep(root: Path, folder: Path, python: str) -> None:
    """Copy what the fixture keeps, without what describes this machine."""
    shutil.copytree(root, folder / "home", symlinks=True, ignore=_unused)
    empty = [path for path in folder.rglob("*") if path.is_dir() and not any(path.iterdir())]
    lines = sorted(str(path.relative_to(folder / "home")) for path in empty)
    (folder / "folders.txt").write_text("\n".join([*lines, ""]))
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            if path.readlink().is_absolute():
                path.unlink()
                path.symlink_to(PYTHON)
        elif path.is_file():
            path.write_bytes(_neutral(path.read_bytes(), str(root), python))
    for manifest in folder.rglob("manifest.json"):  # some of the files that it describes have just changed
        record = json.loads(manifest.read_text())
        for name, entry in record["files"].items():
            data = (manifest.parent / name).read_bytes()
            entry.update(size=len(data), sha256=hashlib.sha256(data).hexdigest())
        manifest.write_text(json.dumps(record, separators=(",", ":")))


def _unused(parent: str, names: list[str]) -> set[str]:
    """Return what the fixture does not keep: code, what was installed, images, and facts of this machine."""
    if Path(parent).parent.name == "environments":
        return {name for name in names if name not in {"ready.json", "build.log"} and not _is_build(name)}
    if _is_build(Path(parent).name):
        return set(names) - {"bin"}
    if Path(parent).name == "bin":
        return set(names) - {"python"}
    dropped = {"agents", "served", "multirun", "interpreters.json", "sources", "leases", "index"}
    return {name for name in names if name in dropped or name.startswith("digits-")}


def _is_build(name: str) -> bool:
    return re.fullmatch("[0-9a-f]{8}", name) is not None


def _neutral(data: bytes, root: str, python: str) -> bytes:
    """Replace paths, the user, the host and the id of its boot."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    prefix = str(Path(python).parents[1])
    changes = {
        root: HOME,
        prefix: str(Path(PYTHON).parents[1]),
        boot: BOOT,
        f'"user":"{getpass.getuser()}"': f'"user":"{Path(HOME).name}"',
        f'"{os.uname().nodename}"': f'"{HOST}"',
        f" on {os.uname().nodename} ": f" on {HOST} ",
        os.path.realpath(python): "/usr/bin/python3.11",
    }
    for old, new in changes.items():
        data = data.replace(old.encode(), new.encode())
    return data


def main(python: str, folder: Path) -> None:
    """Make the fixture in a folder."""
    with tempfile.TemporaryDirectory() as root:
        make(python, Path(root).resolve())
        _keep(Path(root).resolve(), folder, python)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
