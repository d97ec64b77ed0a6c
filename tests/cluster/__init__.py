"""A Slurm cluster of several nodes on one machine: real daemons, each node in namespaces of its own."""
