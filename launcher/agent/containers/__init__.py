"""Containers on a node, into which processes are started: podman's, and those of a Docker engine."""
