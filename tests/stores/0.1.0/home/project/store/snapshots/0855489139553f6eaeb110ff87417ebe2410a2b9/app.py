import hydra
from omegaconf import DictConfig

@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(config: DictConfig) -> float:
    print("lr", config.lr)
    return config.lr * 2

if __name__ == "__main__":
    main()
