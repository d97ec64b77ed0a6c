"""What one cluster is, and the names of everything it writes."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

DEFAULT_ROOT = Path("/var/tmp/launcher-cluster")
GPUS_PER_NODE = 2
SLURMD_PORT = 6818  # inside the nodes' own network namespaces, so the same in every cluster
OPEN_PORTS = (20000, 32000)  # `compute.ports`: what the firewall of a hostile cluster lets pass
EPHEMERAL_PORTS = (26000, 32000)
SRUN_PORTS = (20000, 20999)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """One cluster. Its slot, found by `up`, is its own among the live ones and makes network and ports."""

    root: Path = DEFAULT_ROOT
    slot: int = 0
    node_count: int = 4
    hostile: bool = False
    cgroup: bool = False
    shared_dirs: tuple[Path, ...] = ()
    """Folders below /tmp that all nodes see; the rest of /tmp is private to each node."""
    cache_s: int = 30
    """How long a node of a hostile cluster believes what it has seen of the shared folders."""

    @property
    def nodes(self) -> tuple[str, ...]:
        return tuple(f"node{number}" for number in range(1, self.node_count + 1))

    def number(self, node: str) -> int:
        """Return 1 for node1."""
        if node not in self.nodes:
            raise ValueError(f"node: got {node!r}; expected one of {', '.join(self.nodes)}")
        return self.nodes.index(node) + 1

    @property
    def bridge(self) -> str:
        return f"lnch{self.slot}"

    @property
    def head_address(self) -> str:
        return f"10.77.{self.slot}.1"

    def address(self, node: str) -> str:
        return f"10.77.{self.slot}.{10 + self.number(node)}"

    def dead_address(self, node: str) -> str:
        """Return the address on the interface behind which nobody is."""
        return f"10.78.{self.slot}.{10 + self.number(node)}"

    @property
    def slurmctld_port(self) -> int:
        return 17000 + 2 * self.slot

    @property
    def slurmdbd_port(self) -> int:
        return 17001 + 2 * self.slot

    @property
    def record(self) -> Path:
        return self.root / "cluster.json"

    @property
    def slurm_conf(self) -> Path:
        return self.root / "slurm.conf"

    @property
    def slurmdbd_conf(self) -> Path:
        return self.root / "slurmdbd.conf"

    @property
    def shared(self) -> Path:
        return self.root / "shared"

    @property
    def munge(self) -> Path:
        return self.root / "munge"

    @property
    def munge_socket(self) -> Path:
        return self.munge / "munge.sock"

    @property
    def database(self) -> Path:
        return self.root / "db"

    @property
    def mysql_socket(self) -> Path:
        return self.database / "mysql.sock"

    @property
    def logs(self) -> Path:
        return self.root / "log"

    def hosts(self, node: str) -> Path:
        return self.root / "nodes" / f"{node}.hosts"

    @property
    def resolver(self) -> Path:
        return self.root / "nodes" / "resolv.conf"

    def init(self, node: str) -> Path:
        """Return the script that is pid 1 of a node."""
        return self.root / "nodes" / f"{node}.init"

    def cgroup_name(self, node: str) -> str:
        return f"launcher-{sha256(bytes(self.root)).hexdigest()[:12]}-{node}"

    @property
    def variables(self) -> dict[str, str]:
        """Return what a client of the cluster needs in its environment."""
        return {"SLURM_CONF": str(self.slurm_conf), "LAUNCHER_TEST_SHARED": str(self.shared)}

    def save(self) -> None:
        values = {**asdict(self), "root": str(self.root), "shared_dirs": [str(d) for d in self.shared_dirs]}
        self.record.write_text(json.dumps(values, indent=1), encoding="utf-8")


def load(root: Path) -> Layout:
    """Return the cluster of a folder.

    Raises:
        FileNotFoundError: there is none.
    """
    values: dict[str, Any] = json.loads((root / "cluster.json").read_text(encoding="utf-8"))
    values |= {"root": root, "shared_dirs": tuple(map(Path, values["shared_dirs"]))}
    return Layout(**values)
