"""What agent 0 does: runs, their attempts, the records of both, and why an attempt failed."""
