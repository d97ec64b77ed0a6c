"""Declarative experiment launcher."""
