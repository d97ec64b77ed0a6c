"""Placeholders of a plan, filled on the node: `@{host.1}`, `@{port.worker.0}`."""

from __future__ import annotations

import re

_PLACEHOLDER = re.compile(r"@\{([a-z_]+(?:\.[^{}@]+)?)\}")


def expand(text: str, values: dict[str, str]) -> str:
    """Fill the placeholders that are known; anything else stays as the user wrote it."""
    return _PLACEHOLDER.sub(lambda match: values.get(match.group(1), match.group(0)), text)
