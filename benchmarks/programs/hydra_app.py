"""The smallest job as a Hydra application; runs in the peer's environment."""

import hydra
from omegaconf import DictConfig


@hydra.main(version_base=None, config_path=None)
def main(config: DictConfig) -> None:
    """Do the job."""
    del config
    print("done")


main()
