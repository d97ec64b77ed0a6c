"""`compute=slurm`: its options, the scripts that sbatch gets, and what Slurm's programs answer.

`slurm_scheduler.py` puts them behind the port of `launcher.compute.scheduler`.
"""
