"""A Docker engine of its own for tests: Debian's real dockerd, in namespaces of its own."""
