"""What conda is asked for: packages and channels, out of options and of an environment file."""

from __future__ import annotations

import importlib.util
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from launcher.environment.recipe.requirements import absolute

if TYPE_CHECKING:
    from launcher.environment.package_options import PackageOptions
    from launcher.environment.recipe.interpreters import Version


@dataclass(frozen=True, slots=True, kw_only=True)
class CondaRequest:
    """What conda is asked for."""

    packages: tuple[str, ...]
    channels: tuple[str, ...]
    pip: tuple[str, ...] = ()
    """Requirements for pip out of an environment file."""

    @classmethod
    def of(
        cls, options: PackageOptions, span: tuple[Version, Version] | None, root: Path = Path("/")
    ) -> CondaRequest:
        """Return the request of these options, with a Python that the framework was tested with.

        `root` stands for `/` in the path of the environment file.
        """
        path = options.environment_file
        listed = EnvironmentFile.read(Path(path), root) if path else None
        specs = [*options.conda_packages, *(listed.packages if listed else ())]
        if not any(name_of(spec) == "python" for spec in specs) or options.python is not None:
            specs.insert(0, _python(options.python, span))
        return cls(
            packages=tuple(specs),
            channels=(listed.channels if listed else ()) or tuple(options.channels),
            pip=listed.pip if listed else (),
        )


def _python(wanted: str | None, span: tuple[Version, Version] | None) -> str:
    if wanted is not None:
        return f"python={wanted}"
    if span is None:
        return "python"
    (major, oldest), (_, newest) = span
    return f"python>={major}.{oldest},<{major}.{newest + 1}"


def name_of(spec: str) -> str:
    """Return the package of a match spec: `conda-forge::numpy>=1.26` names numpy."""
    match = re.match(r"[\w.-]+", spec.rpartition("::")[2].strip())
    return match.group().lower() if match else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentFile:
    """What a conda environment file asks for."""

    packages: tuple[str, ...]
    channels: tuple[str, ...]
    pip: tuple[str, ...]

    @classmethod
    def read(cls, path: Path, root: Path = Path("/")) -> EnvironmentFile:
        """Read the file; paths in its pip section count from its folder.

        `root` stands for `/`: the file is the copy of one that lay elsewhere.

        Raises:
            ValueError: it is not such a file; the message says why.
        """
        import yaml  # noqa: PLC0415  # only where there is such a file

        from launcher import yaml_bounds  # noqa: PLC0415

        try:
            yaml_bounds.check_file(path)
            content: Any = yaml_bounds.load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ValueError(" ".join(str(error).split())) from error
        fields = cast("Mapping[str, object]", content if isinstance(content, Mapping) else {})
        packages: list[str] = []
        pip: list[str] = []
        for entry in _texts(fields.get("dependencies"), "list of dependencies"):
            if isinstance(entry, str):
                packages.append(entry)
            elif isinstance(entry, Mapping) and set(cast("Mapping[str, object]", entry)) == {"pip"}:
                pip += map(str, _texts(cast("Mapping[str, object]", entry)["pip"], "list under pip"))
            else:
                raise ValueError(f"a dependency is neither text nor a pip section: {entry!r}")
        options = [line for line in pip if line.lstrip().startswith("-")]
        if options:
            raise ValueError(f"its pip section has an option, {options[0]!r}: put it into requirements_file")
        named = _texts(fields.get("channels", []), "list of channels")
        channels = tuple(str(channel) for channel in named if channel != "nodefaults")
        base = Path("/", path.absolute().relative_to(root)).parent
        return cls(
            packages=tuple(packages), channels=channels, pip=tuple(absolute(line, base) for line in pip)
        )


def _texts(value: object, what: str) -> list[object]:
    if not isinstance(value, list):
        raise ValueError(f"it has no {what}")  # noqa: TRY004  # wrong in the file, not in the call
    return cast("list[object]", value)


def solver() -> str | None:
    """Return what can build conda environments here: `rattler`, or the path of micromamba."""
    if importlib.util.find_spec("rattler") is not None:
        return "rattler"
    return shutil.which("micromamba")
