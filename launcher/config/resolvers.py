"""What `${…}` can call in a configuration beside OmegaConf's own resolvers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from launcher.secrets import symbol

if TYPE_CHECKING:
    from omegaconf import DictConfig


def register() -> None:
    """Make the resolvers known; again changes nothing."""
    OmegaConf.register_new_resolver("data", _data, replace=True)
    OmegaConf.register_new_resolver("secret", _secret, replace=True)


def _data(name: str = "", *, _root_: DictConfig) -> str:
    """Return the placeholder of an input's path on the node; without a name, of the first input."""
    if not name:
        inputs: Any = OmegaConf.select(_root_, "data.inputs")
        name = next(iter(inputs or {}), "")
    return f"@{{data.{name}}}"


def _secret(*name: object) -> str:
    """Return what stands for a secret: its value is in no configuration."""
    return symbol(",".join(map(str, name)))
