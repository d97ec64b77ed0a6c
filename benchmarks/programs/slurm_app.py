"""Writes when it began, as a Hydra application; runs in the peer's environment on a node."""

import time

began = time.time()

import os  # noqa: E402  # the moment is before any import
from pathlib import Path  # noqa: E402

import hydra  # noqa: E402
from omegaconf import DictConfig  # noqa: E402


@hydra.main(version_base=None, config_path=None)
def main(config: DictConfig) -> None:
    """Note the moment at which the job's own code runs."""
    Path(config.said).joinpath(f"{os.getpid()}-{os.uname().nodename}").write_text(str(time.time()))


main()
