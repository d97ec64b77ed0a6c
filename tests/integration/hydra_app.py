"""Somebody's Hydra app, and a sweeper of theirs that tells what it gets."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from launcher.paths import StoreFolder
from launcher.store.runs import Run, read_run

APP = """\
import logging, os, pathlib, sys, time
from dataclasses import dataclass, field
import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf
import helper

log = logging.getLogger(__name__)

@dataclass
class Optimizer:
    lr: float = 0.1

@dataclass
class App:
    optimizer: Optimizer = field(default_factory=Optimizer)
    mode: str = "number"
    folder: str = "${hydra:runtime.output_dir}"
    doubled: int = "${double:4}"

ConfigStore.instance().store(name="config", node=App)

@hydra.main(version_base=None, config_path=None, config_name="config")
def main(config):
    app = OmegaConf.to_object(config)
    log.info("%s lr=%s helper=%s", type(app).__name__, app.optimizer.lr, helper.VERSION)
    print("argv", sys.argv[1:], "chosen", os.environ.get("CHOSEN"))
    print("original", hydra.utils.get_original_cwd())
    pathlib.Path(app.folder, "cwd.txt").write_text(os.getcwd())
    assert app.doubled == 8 and HydraConfig.get().mode.name == "MULTIRUN"
    assert app.folder == HydraConfig.get().runtime.output_dir
    match app.mode:
        case "raise":
            raise ValueError("no such luck")
        case "die":
            os._exit(7)
        case "object":
            return object()
        case "scalar":
            import numpy
            return [numpy.float32(0.5), OmegaConf.create({"a": 1})]
        case "edit":
            pathlib.Path("helper.py").write_text("VERSION = 2")
            pathlib.Path("train.py").write_text("1 / 0")
    return app.optimizer.lr * 2

if __name__ == "__main__":
    OmegaConf.register_new_resolver("double", lambda number: 2 * int(number))
    main()
"""


SWEEPER = """\
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper

class Telling(Sweeper):
    def setup(self, *, hydra_context, task_function, config):
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments):
        for job in self.launcher.launch([["mode=raise"], ["mode=number"], ["mode=die"]], 5):
            print("TOLD", job.status.name, job._return_value, job.task_name, job.hydra_cfg.hydra.job.num)

ConfigStore.instance().store(
    group="hydra/sweeper", name="telling", node={"_target_": "hydra_plugins.telling.Telling"}
)
"""


class App:
    """A folder with somebody's app."""

    launcher = "launcher_local"

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "app"
        self.folder.mkdir()
        (self.folder / "train.py").write_text(APP)
        (self.folder / "helper.py").write_text("VERSION = 1")
        self.store = StoreFolder(folder / "store")
        self.env = {name: value for name, value in os.environ.items() if not name.startswith("LAUNCHER_")}
        self.env |= {"LAUNCHER_STORE": str(self.store.root), "LAUNCHER_CACHE": str(folder / "cache")}

    def sweep(self, *words: str, start: tuple[str, ...] = ("train.py",)) -> subprocess.CompletedProcess[str]:
        line = [
            sys.executable,
            *start,
            "-m",
            f"hydra/launcher={self.launcher}",
            "hydra.sweep.dir=swept",
            *words,
        ]
        return subprocess.run(
            line, cwd=self.folder, env=self.env, capture_output=True, text=True, check=False, timeout=120
        )

    def run(self, number: int, name: str = "train") -> Run:
        return read_run(self.store.run(name, number))

    def log(self, number: int) -> str:
        return (self.store.run("train", number).logs / "worker-0.log").read_text()
