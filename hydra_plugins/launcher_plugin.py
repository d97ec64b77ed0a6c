"""Launchers and sweeper for Hydra's discovery.

`hydra/launcher=launcher` and `hydra/sweeper=launcher` are for launcher's own configuration;
`hydra/launcher=launcher_local` and `hydra/launcher=launcher_slurm` are for any Hydra app.
Every Hydra app on the machine imports this file, so it imports nothing of launcher at the top.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hydra.core.utils import JobReturn
    from hydra.types import HydraContext, TaskFunction
    from omegaconf import DictConfig


HERE = "hydra_plugins.launcher_plugin"

# What `hydra.launcher` of any Hydra app may say; launcher.apps.conf has the types.
LOCAL = {
    "_target_": f"{HERE}.AppLauncher",
    "compute": "local",
    "name": "${hydra.job.name}",
    "wait": True,
    **dict.fromkeys(
        """
        nodes processes_per_node gpus_per_node cpus_per_process memory_gib time_limit_min retries max_parallel
        distribution env secrets tags source links snapshot_limit_mib store
        submitit_folder timeout_min cpus_per_task tasks_per_node mem_gb stderr_to_stdout
        """.split()  # noqa: SIM905  # 50 names, a line each, would hide the rest of this file
    ),
}
SLURM = {
    **LOCAL,
    "compute": "slurm",
    "export": "ALL",  # as sbatch has it
    **dict.fromkeys(
        """
        partition account qos constraint nodelist exclude exclusive reservation dependency comment mail_type
        mail_user gres gpu_type setup teardown login_shell python interface ports signal grace_s srun_args
        additional_parameters cpus_per_gpu gpus_per_task mem_per_gpu mem_per_cpu signal_delay_s
        max_num_timeout array_parallelism
        """.split()  # noqa: SIM905  # 50 names, a line each, would hide the rest of this file
    ),
}


class RunLauncher(Launcher):
    """Makes every job of a sweeper a run."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """See Hydra's `Launcher`."""
        del task_function  # the script of the run is the task
        self._context = hydra_context
        self._config = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Launch the jobs side by side; a job's value is its objective, a failed run is a failed job."""
        from launcher.plugin import launch_jobs  # noqa: PLC0415  # see above

        return launch_jobs(self._context.config_loader, self._config, job_overrides, initial_job_idx)


class RunSweeper(Sweeper):
    """Hands all combinations to the launcher at once."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """See Hydra's `Sweeper`."""
        from hydra.core.plugins import Plugins  # noqa: PLC0415  # it imports this file

        self.hydra_context = hydra_context
        self.config = config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        """Launch every combination, in the order of Hydra's basic sweeper."""
        from hydra._internal.core_plugins.basic_sweeper import BasicSweeper  # noqa: PLC0415  # seldom needed

        assert self.hydra_context is not None  # noqa: S101  # set up
        assert self.launcher is not None  # noqa: S101  # set up
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        [jobs] = BasicSweeper.split_arguments(parser.parse_overrides(arguments), None)
        done = self.launcher.launch(jobs, initial_job_idx=0)
        for job in done:
            _ = job.return_value  # raises where the job failed, as Hydra's own sweeper has it
        return [done]


class AppLauncher(Launcher):
    """Makes every job of somebody's Hydra app a run: their script, with the job's configuration frozen."""

    def __init__(self, **options: Any) -> None:
        del options  # each job has its own

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """See Hydra's `Launcher`."""
        self._context = hydra_context
        self._task = task_function
        self._config = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Launch the jobs side by side; a job has what its task returned, a failed run is a failed job."""
        from launcher.apps.launch import launch_jobs  # noqa: PLC0415  # see above

        return launch_jobs(
            self._context.config_loader, self._config, self._task, job_overrides, initial_job_idx
        )


ConfigStore.instance().store(
    group="hydra/launcher", name="launcher", node={"_target_": f"{HERE}.RunLauncher"}, provider="launcher"
)
ConfigStore.instance().store(
    group="hydra/sweeper", name="launcher", node={"_target_": f"{HERE}.RunSweeper"}, provider="launcher"
)
for _name, _options in (("launcher_local", LOCAL), ("launcher_slurm", SLURM)):
    ConfigStore.instance().store(group="hydra/launcher", name=_name, node=_options, provider="launcher")
