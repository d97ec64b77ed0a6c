"""Other people's Hydra apps: jobs of `python train.py -m hydra/launcher=launcher_local` as runs."""
