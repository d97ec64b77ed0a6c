"""What one engine is, and the names of everything it writes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

DEFAULT_ROOT = Path("/var/tmp").resolve() / "launcher-engine"
REGISTRY_PORT = 5000  # in the engine's own network namespace, so the same in every engine

DOCKERD, REGISTRY, HOLDER = "dockerd", "registry", "namespaces"  # the records of its processes


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """One engine. Its slot, found by `up`, is its own among the live ones and makes its network."""

    root: Path = DEFAULT_ROOT
    slot: int = 0

    @property
    def name(self) -> str:
        """Return the name of what lies outside the folder: the table of the firewall, and cgroups."""
        return f"launcher-engine-{sha256(bytes(self.root)).hexdigest()[:12]}"

    @property
    def veth(self) -> str:
        """Return the machine's end of the wire to the engine."""
        return f"leng{self.slot}"

    @property
    def gateway(self) -> str:
        return f"10.76.{self.slot}.1"

    @property
    def address(self) -> str:
        return f"10.76.{self.slot}.2"

    @property
    def record(self) -> Path:
        return self.root / "engine.json"

    @property
    def socket(self) -> Path:
        return self.root / "docker.sock"

    @property
    def host(self) -> str:
        return f"unix://{self.socket}"

    @property
    def client(self) -> Path:
        """Return the folder of a client's configuration, which is empty."""
        return self.root / "client"

    @property
    def daemon_json(self) -> Path:
        return self.root / "daemon.json"

    @property
    def pid_file(self) -> Path:
        return self.root / "dockerd.pid"

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def exec(self) -> Path:
        return self.root / "exec"

    @property
    def bin(self) -> Path:
        """Return the folder that comes first on dockerd's PATH."""
        return self.root / "bin"

    @property
    def registry(self) -> Path:
        return self.root / "registry"

    @property
    def logs(self) -> Path:
        return self.root / "log"

    @property
    def pids(self) -> Path:
        return self.root / "pids"

    @property
    def variables(self) -> dict[str, str]:
        """Return what a client of the engine needs in its environment."""
        return {"DOCKER_HOST": self.host, "DOCKER_CONFIG": str(self.client)}

    def save(self) -> None:
        self.record.write_text(json.dumps({"slot": self.slot}), encoding="utf-8")


def load(root: Path) -> Layout:
    """Return the engine of a folder.

    Raises:
        FileNotFoundError: there is none.
    """
    values: dict[str, int] = json.loads((root / "engine.json").read_text(encoding="utf-8"))
    return Layout(root=root, slot=values["slot"])
