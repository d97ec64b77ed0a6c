"""A job of somebody's Hydra app, in its process: `python -P -m launcher.apps.job`.

Comes to the task function the way the submitter did, and lets Hydra's own run_job call it with the
configuration that was frozen then. Nothing is composed here.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
import traceback
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from hydra import version
from hydra._internal.callbacks import Callbacks
from hydra._internal.config_search_path_impl import ConfigSearchPathImpl
from hydra._internal.hydra import Hydra
from hydra.core.plugins import Plugins
from hydra.core.utils import JobStatus, run_job
from hydra.types import HydraContext
from omegaconf import OmegaConf, open_dict, read_write

from launcher.apps.frozen import thaw
from launcher.paths import RunFolder

if TYPE_CHECKING:
    from collections.abc import Callable

FAILED: Final = 1


class Job:
    """What was frozen, and whether it ran."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self.data: dict[str, Any] = json.loads(folder.spec.read_text("utf-8", "surrogateescape"))["app"]
        self.ran = False

    def start(self) -> None:
        """Come to the task function: as the script or module that was started, or by import."""
        name: str = self.data["entry"]["name"]
        # Not the snapshot: what an app finds beside its own files is of this run alone, or linked there.
        source = self._folder.root / "work" / os.environ["LAUNCHER_ATTEMPT"]
        sys.path[:0] = [str(source / path) for path in self.data["entry"]["paths"]]
        if Path(self.data["cwd"]).is_dir():  # where Hydra leaves its jobs, unless hydra.job.chdir
            os.chdir(self.data["cwd"])
        vars(import_module("hydra.main"))["_run_hydra"] = self._run_hydra
        sys.argv = [str(source / name), *sys.argv[2:]]
        match self.data["entry"]["kind"]:
            case "script":
                runpy.run_path(str(source / name), run_name="__main__")
            case "module":
                runpy.run_module(name, run_name="__main__", alter_sys=True)
            case _:
                self._call(name)

    def link(self) -> None:
        """Lead from where Hydra has a job's folder to the run's outputs; what else is there stays."""
        link = Path(self.data["link"])
        outputs = self._folder.outputs
        draft = link.with_name(f".{link.name}.{uuid4().hex}")
        try:
            link.parent.mkdir(parents=True, exist_ok=True)
            draft.symlink_to(outputs)
            if link.is_dir() and not link.is_symlink():
                link.rmdir()  # only where it is empty
            draft.replace(link)
        except OSError as error:
            draft.unlink(missing_ok=True)
            print(f"launcher: no link {link}: {error.strerror}. This job's folder is {outputs}")  # noqa: T201

    def _call(self, name: str) -> None:
        module, _, function = name.partition(":")
        found: Any = import_module(module)
        for part in function.split("."):
            found = getattr(found, part)
        if self.data["entry"]["decorated"]:
            found()
        else:
            if self.data["version_base"] is not None:
                version.setbase(self.data["version_base"])
            self.run(found)

    def _run_hydra(self, *_: Any, task_function: Callable[..., Any], **__: Any) -> None:
        """Stand in for what `@hydra.main` calls with the words of the command line."""
        self.run(task_function)

    def run(self, task: Callable[..., Any]) -> None:
        """Call the task function; end the process where it fails."""
        self.ran = True
        config = thaw(self.data["config"])
        with read_write(config.hydra.runtime), open_dict(config.hydra.runtime):
            config.hydra.runtime.output_dir = str(self._folder.outputs)
        path = ConfigSearchPathImpl()  # for apps that compose more
        for source in config.hydra.runtime.config_sources:
            path.append(source.provider, f"{source.schema}://{source.path}")
        Plugins.instance()  # brings the kinds of sources
        app = Hydra.create_main_hydra2(self.data["task_name"], path)
        context = HydraContext(config_loader=app.config_loader, callbacks=Callbacks(config))
        done = run_job(task, config, "hydra.runtime.output_dir", None, context)
        if done.status is JobStatus.FAILED:
            error: Any = done._return_value  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # the public one raises it
            traceback.print_exception(error)
            sys.exit(FAILED)
        if os.environ.get("LAUNCHER_RANK", "0") == "0":
            self._keep(done.return_value)

    def _keep(self, value: Any) -> None:
        """Write what the task returned, for the sweeper."""
        try:
            text = json.dumps({"value": value}, default=_plain)
        except (TypeError, ValueError, RuntimeError) as error:
            text = json.dumps({"value": None, "lost": f"{type(value).__name__}: {error}"})
        place = self._folder.returned
        draft = place.with_name(f".{place.name}.{uuid4().hex}")
        draft.write_text(text, "utf-8")
        draft.replace(place)


def _plain(value: Any) -> Any:
    """Return what JSON has for a scalar of NumPy or a tensor, or for a configuration."""
    if OmegaConf.is_config(value):
        return OmegaConf.to_container(value, resolve=True)
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"{type(value).__name__} is nothing that JSON has")


def main() -> int:
    """Run the job of the run that this process is part of."""
    job = Job(RunFolder(Path(os.environ["LAUNCHER_RUN_FOLDER"])))
    job.link()
    job.start()
    if not job.ran:
        print("launcher: the script ended without a call of its main function", file=sys.stderr)  # noqa: T201
        return FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main())
