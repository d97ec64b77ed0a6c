"""Options of `environment=packages`."""

from __future__ import annotations

from dataclasses import dataclass, field

from launcher.environment.registry import Registry


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageOptions:
    """An environment of the named packages beside those that the framework brings."""

    python: str | None = None
    """Version of Python, as `3.11`, or the path of an interpreter. By default the launcher's own where
    the framework was tested with it, else the newest on this machine that it was tested with."""
    pip_packages: list[str] = field(default_factory=list[str])
    """Requirements as pip takes them, `pandas>=2`, folders and archives of this machine included."""
    requirements_file: str | None = None
    """A file of such requirements."""
    conda_packages: list[str] = field(default_factory=list[str])
    """Match specs of conda, `numpy=1.26`. Python then comes from conda too."""
    environment_file: str | None = None
    """A conda environment file (YAML) with channels, dependencies and a pip section."""
    channels: list[str] = field(default_factory=lambda: ["conda-forge"])
    """Channels of conda: names or addresses, `file://` included."""
    torch_backend: str | None = None
    """Which builds of PyTorch uv takes: `cpu`, `cu126`, `auto`. By default `cpu` for a run without GPUs,
    but what the index has where pip or uv is told of places of its own."""
    skip_imports: list[str] = field(default_factory=list[str])
    """Packages that are not imported after the installation, by name; `*` for all that you asked for."""
    build_on: str = "submit"
    """Where it is built: `submit`, before the run is handed over, or `job`, on the run's first node."""
    stage: str = "shared"
    """Where nodes use it: `shared`, where it was built, or `node`, unpacked to a disk of their own."""
    base_image: str | None = None
    """With compute=docker, what the image begins with. null: the official image of a Python that the
    framework was tested with; for Horovod on GPUs, CUDA's image for developers."""
    apt_packages: list[str] = field(default_factory=list[str])
    """With compute=docker, packages of Debian or Ubuntu, `libgl1`."""
    dockerfile_lines: list[str] = field(default_factory=list[str])
    """With compute=docker, lines of a Dockerfile after them, `RUN useradd me`. Nothing of this machine can
    be copied by them."""
    push: str | None = None
    """With compute=docker, `registry/prefix`, where the image is pushed to, for other hosts to pull."""
    registry: Registry = field(default_factory=Registry)
    """With compute=docker, who pulls and pushes, where Docker's own configuration does not say so."""

    @property
    def conda(self) -> bool:
        """Whether conda brings Python and the first packages."""
        return bool(self.conda_packages) or self.environment_file is not None
