"""Checks of the launcher on a machine with a GPU, which CI does not have."""
