"""The daemons of the head: munge, the database, slurmdbd and slurmctld."""

from __future__ import annotations

import os
import shutil
import stat
from typing import TYPE_CHECKING, Literal

from tests.cluster.layout import GPUS_PER_NODE
from tests.processes import listens, run, wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.layout import Layout
    from tests.processes import Processes

Name = Literal["munged", "mariadbd", "slurmdbd", "slurmctld"]

# slurmctld insists that the machine's name is that of slurm.conf; so the name is given, not taken.
AS_HEAD = ("unshare", "--uts", "sh", "-c", 'hostname head; exec "$@"', "sh")
INNODB_LOG = "--innodb-log-file-size=64M"


def start_all(cluster: Layout, processes: Processes) -> None:
    """Start all daemons of a new cluster."""
    _make_munge_key(cluster)
    start(cluster, processes, "munged")
    _make_database(cluster)
    start(cluster, processes, "mariadbd")
    start(cluster, processes, "slurmdbd")
    start(cluster, processes, "slurmctld")


def start(cluster: Layout, processes: Processes, name: Name) -> None:
    """Start one daemon and wait until it answers."""
    env = dict(cluster.variables)
    if name == "slurmdbd":
        # The client library of MariaDB reads where the socket is from here alone.
        env |= {"SLURM_CONF": str(cluster.slurmdbd_conf), "MYSQL_UNIX_PORT": str(cluster.mysql_socket)}
    processes.spawn(name, _argv(cluster, name), env)
    addresses: dict[Name, str | tuple[str, int]] = {
        "munged": str(cluster.munge_socket),
        "mariadbd": str(cluster.mysql_socket),
        "slurmdbd": (cluster.head_address, cluster.slurmdbd_port),
        "slurmctld": (cluster.head_address, cluster.slurmctld_port),
    }

    def answers() -> bool:
        if not processes.pid(name):
            raise RuntimeError(f"{name} ended: see {cluster.logs}/{name}.out and {name}.log")
        return listens(addresses[name])

    wait_for(answers, f"{name} answers")


def make_gpus(cluster: Layout) -> None:
    """Make device files for GPUs. Numbers of their own: to deny one to a job must deny nothing else."""
    for gpu in range(GPUS_PER_NODE):
        path = cluster.root / "dev" / f"gpu{gpu}"
        os.mknod(path, stat.S_IFCHR, os.makedev(4, 50 + gpu))
        path.chmod(0o666)


def _argv(cluster: Layout, name: Name) -> list[str | Path]:
    if name == "munged":
        munge = cluster.munge
        return [
            *("setpriv", "--reuid=munge", "--regid=munge", "--clear-groups"),
            *(
                "munged",
                "--foreground",
                "--num-threads=4",
                f"--key-file={munge}/key",
                f"--seed-file={munge}/seed",
            ),
            *(f"--socket={cluster.munge_socket}", f"--pid-file={munge}/pid", f"--log-file={munge}/log"),
        ]
    if name == "mariadbd":
        return [
            *("mariadbd", "--no-defaults", "--user=mysql", "--skip-networking", "--skip-log-bin", INNODB_LOG),
            "--tmpdir=/tmp",  # TMPDIR may be of this user only
            *(f"--datadir={cluster.database}", f"--socket={cluster.mysql_socket}"),
            f"--pid-file={cluster.database}/pid",
            *("--innodb-buffer-pool-size=256M", "--innodb-lock-wait-timeout=900"),
            "--innodb-flush-log-at-trx-commit=0",  # nobody needs these records after a power cut
        ]
    return [*AS_HEAD, name, "-D"]


def _make_munge_key(cluster: Layout) -> None:
    key = cluster.munge / "key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o600)
    for path in (key, cluster.munge):
        shutil.chown(path, "munge", "munge")
    cluster.munge.chmod(0o711)


def _make_database(cluster: Layout) -> None:
    """Make an empty database, or unpack one that was made earlier: that takes a tenth of the time."""
    version = run("mariadbd", "--version").split()[2]
    template = cluster.root.parent / f"launcher-cluster-db-{version}.tar"
    if template.is_file() and template.stat().st_uid == os.getuid():
        run("tar", "-C", cluster.root, "-xpf", template)
        return
    shutil.chown(cluster.database, "mysql")
    run(
        *(
            "env",
            "TMPDIR=/tmp",
            "mariadb-install-db",
            "--no-defaults",
            "--user=mysql",
            f"--datadir={cluster.database}",
            INNODB_LOG,
        ),
        *("--skip-test-db", "--auth-root-authentication-method=socket"),
    )
    draft = template.with_name(f".{template.name}.{os.getpid()}")
    run("tar", "-C", cluster.root, "-cSpf", draft, "db")
    draft.replace(template)
