"""The container engine of this machine, through the Docker SDK; the only package that imports it."""
