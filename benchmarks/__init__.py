"""The launcher's performance beside real peers: medians of paired runs, see README.md."""
