"""What a script can import: this Python as it is, or packages that are installed once and kept."""

from launcher.environment.cached import environments, prepared, remove
from launcher.environment.current import Current
from launcher.environment.packages import Packages

__all__ = ["Current", "Packages", "environments", "prepared", "remove"]
