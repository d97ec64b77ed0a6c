"""Where an attempt runs, as its agent sees it: this machine, its Docker engine, a job of Slurm."""
