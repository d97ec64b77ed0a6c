"""What a script can import: this Python as it is, or packages that are installed once and kept."""

from launcher.environment.cache.folder import environments, prepared, remove
from launcher.environment.current import Current
from launcher.environment.image import Image
from launcher.environment.packages import Packages

CHOICES = {choice.kind: choice for choice in (Current, Packages, Image)}
"""The option classes of the group `environment`."""

__all__ = ["CHOICES", "Current", "Image", "Packages", "environments", "prepared", "remove"]
