"""What stands between mpirun and the agents: its remote shell, its output, the start of every rank."""
