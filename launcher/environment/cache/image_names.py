"""By what images of environments are found in an engine."""

from __future__ import annotations

from typing import Final

REPOSITORY: Final = "launcher/environment"
LAYERS: Final = "launcher/layers"
"""Of layers below the packages."""
LABEL: Final = "launcher.environment"
"""Holds what a `Prepared` does, for hosts that pull the image; `key`, `base` and `wants` for people."""
