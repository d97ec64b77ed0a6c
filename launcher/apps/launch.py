"""Jobs of somebody's Hydra app as runs: their function, with each job's configuration frozen."""

from __future__ import annotations

import os
import sys
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra import version
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobRuntime, JobStatus, setup_globals
from hydra.errors import CompactHydraException
from omegaconf import OmegaConf, open_dict, read_write

from launcher.agent.base.startup import open_missing
from launcher.apps import options as option
from launcher.apps.entry import Entry, find_entry
from launcher.apps.frozen import freeze
from launcher.data import CHOICES as DATA
from launcher.environment import CHOICES as ENVIRONMENTS
from launcher.errors import ConfigError, LauncherError
from launcher.launch import SIGNALED, launch_sweep
from launcher.project import find_store
from launcher.spec import LaunchRequest, RunSpec, State, plain
from launcher.store.metrics import return_record
from launcher.view import cause_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hydra.core.config_loader import ConfigLoader
    from omegaconf import DictConfig

    from launcher.store.run_state import Run


class JobFailedError(CompactHydraException):
    """A job's run failed; Hydra tells it without a traceback, which is in the run's log."""


def launch_jobs(
    loader: ConfigLoader,
    master: DictConfig,
    task: Callable[..., Any],
    batch: Sequence[Sequence[str]],
    first: int,
) -> list[JobReturn]:
    """Launch a batch side by side and return what became of each job.

    Raises:
        HydraException: with everything that is wrong with a job; nothing was started.
    """
    open_missing()
    setup_globals()
    Path(str(master.hydra.sweep.dir)).mkdir(parents=True, exist_ok=True)
    try:
        entry = find_entry(task, OmegaConf.select(master, "hydra.launcher.source"))
        configs = [_config(loader, master, words, first + at) for at, words in enumerate(batch)]
        requests = [_request(config, words, entry) for config, words in zip(configs, batch, strict=True)]
        for note in option.notes(master):
            print(f"launcher: {note}", file=sys.stderr)  # noqa: T201
        result = launch_sweep(requests)
    except ConfigError as error:
        raise CompactHydraException("\n".join(map(str, option.problems(error.problems)))) from error
    except LauncherError as error:
        raise CompactHydraException(str(error)) from error
    if result.exit_code > SIGNALED or not requests[0].wait:
        sys.exit(result.exit_code)  # nobody waits for what the jobs return
    return [
        _returned(config, words, run) for config, words, run in zip(configs, batch, result.runs, strict=True)
    ]


def _config(loader: ConfigLoader, master: DictConfig, words: Sequence[str], number: int) -> DictConfig:
    config = loader.load_sweep_config(master, list(words))
    with open_dict(config):
        config.hydra.job.id = str(number)
        config.hydra.job.num = number
    return config


def _request(config: DictConfig, words: Sequence[str], entry: Entry) -> LaunchRequest:
    HydraConfig.instance().set_config(config)
    options = option.options_of(config)
    cwd = Path.cwd()
    frozen = {
        "task_name": JobRuntime.instance().get("name"),
        "version_base": OmegaConf.select(config, "hydra.runtime.version_base"),
        "cwd": str(cwd),
        "link": os.path.normpath(cwd / str(config.hydra.sweep.dir) / str(config.hydra.sweep.subdir)),
        "entry": plain(entry),
        "config": freeze(config),
    }
    python_path = os.environ.get("PYTHONPATH")
    env = {"PYTHONPATH": _absolute(python_path)} if python_path else {}
    options["env"] = env | options["env"]
    spec = RunSpec(
        **option.run_fields(options),
        app=frozen,
        source=entry.source,
        script=None,
        command=("@{python}", "-P", "-m", "launcher.apps.job"),
        args=(entry.name, *words),
        resources=option.resources(options),
        compute=option.compute(options),
        distribution=option.distribution(options),
        environment=ENVIRONMENTS["current"](),
        data=DATA["inputs"](),
    )
    store = find_store(option.store_of(options, cwd), cwd)
    return LaunchRequest(
        spec=spec, store=store, config=_text(config), overrides=tuple(words), wait=options.get("wait", True),
    )  # fmt: skip


def _text(config: DictConfig) -> str:
    """Return the app's part as YAML; interpolations stay as they are: `${oc.env:TOKEN}` is a secret."""
    return OmegaConf.to_yaml(OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"]))


def _absolute(python_path: str) -> str:
    return os.pathsep.join(os.path.abspath(entry) for entry in python_path.split(os.pathsep) if entry)  # noqa: PTH100


def _returned(config: DictConfig, words: Sequence[str], run: Run | None) -> JobReturn:
    assert run is not None, "neither a dry run nor detached"  # noqa: S101
    outputs = str(run.folder.outputs)
    with read_write(config.hydra.runtime), open_dict(config.hydra.runtime):
        config.hydra.runtime.output_dir = outputs
    HydraConfig.instance().set_config(config)
    known: Any = HydraConfig.instance().cfg
    done = JobReturn(overrides=list(words), hydra_cfg=deepcopy(known))
    done.cfg = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    done.task_name = JobRuntime.instance().get("name")
    chdir = config.hydra.job.chdir
    moved = chdir if chdir is not None else not version.base_at_least("1.2")
    done.working_dir = outputs if moved else str(Path.cwd())
    if run.state is State.COMPLETED:
        done.status = JobStatus.COMPLETED
        done.return_value = _value(run)
    else:
        done.status = JobStatus.FAILED
        done.return_value = JobFailedError(_why(run))
    return done


def _value(run: Run) -> Any:
    returned = return_record(run)
    if "lost" in returned:
        print(  # noqa: T201
            f"launcher: {run.id} returned what JSON cannot hold, so None is taken: {returned['lost']}",
            file=sys.stderr,
        )
    return returned.get("value")


def _why(run: Run) -> str:
    lines = run.cause.last_lines if run.cause is not None else ()
    return "\n  ".join([f"{run.id} {run.state}{cause_text(run)}", *lines])
