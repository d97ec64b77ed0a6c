"""The text of every file that a cluster's daemons read; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.cluster.layout import GPUS_PER_NODE, SLURMD_PORT, SRUN_PORTS

if TYPE_CHECKING:
    from tests.cluster.layout import Layout

# Quick scheduling for tests; cred_expire bounds how long a requeued job waits (5 is the least Slurm takes).
SLURM_CONF = """\
ClusterName=launcher
SlurmctldHost=head({cluster.head_address})
SlurmctldPort={cluster.slurmctld_port}
SlurmdPort={slurmd_port}
SrunPortRange={srun_ports[0]}-{srun_ports[1]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={cluster.munge_socket},cred_expire=5
CredType=cred/munge
StateSaveLocation={cluster.root}/state
SlurmdSpoolDir={cluster.root}/spool/%n
SlurmctldPidFile={cluster.root}/spool/slurmctld.pid
SlurmdPidFile={cluster.root}/spool/slurmd.%n.pid
SlurmctldLogFile={cluster.logs}/slurmctld.log
SlurmdLogFile={cluster.logs}/slurmd.%n.log
SlurmctldDebug=info
SlurmdDebug=info
SlurmctldParameters=preempt_send_user_signal
SlurmdParameters=config_overrides
ProctrackType=proctrack/{proctrack}
TaskPlugin=task/{task}
SwitchType=switch/none
MpiDefault=none
MailProg=/bin/true
ReturnToService=2
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2,sched_min_interval=0,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=100
EnforcePartLimits=ANY
MaxArraySize=301
GresTypes=gpu
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost={cluster.head_address}
AccountingStoragePort={cluster.slurmdbd_port}
AccountingStoragePass={cluster.munge_socket}
AccountingStorageTRES=gres/gpu
AccountingStoreFlags=job_comment
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=30
JobRequeue=1
KillWait=30
InactiveLimit=0
MinJobAge=300
SlurmctldTimeout=30
SlurmdTimeout=15
MessageTimeout=10
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
"""

PARTITIONS = """\
PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
PartitionName=short Nodes=ALL MaxTime=2 MaxNodes=2 State=UP PriorityTier=10 PreemptMode=OFF
PartitionName=low Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=15
"""

SLURMDBD_CONF = """\
AuthType=auth/munge
AuthInfo=socket={cluster.munge_socket},cred_expire=5
DbdHost=head
DbdAddr={cluster.head_address}
DbdPort={cluster.slurmdbd_port}
SlurmUser=root
LogFile={cluster.logs}/slurmdbd.log
PidFile={cluster.root}/spool/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=root
StorageLoc=slurm_acct
CommitDelay=0
"""

CGROUP_CONF = """\
CgroupPlugin=cgroup/v1
CgroupMountpoint=/sys/fs/cgroup
ConstrainDevices=yes
ConstrainRAMSpace=yes
ConstrainCores=no
"""


def slurm_conf(cluster: Layout) -> str:
    """Return slurm.conf; the machines are pretended, so their sizes are too."""
    head = SLURM_CONF.format(
        cluster=cluster,
        slurmd_port=SLURMD_PORT,
        srun_ports=SRUN_PORTS,
        proctrack="cgroup" if cluster.cgroup else "linuxproc",
        task="cgroup" if cluster.cgroup else "none",
    )
    nodes = [
        f"NodeName={node} NodeAddr={cluster.address(node)} CPUs=8 RealMemory=16000 Gres=gpu:{GPUS_PER_NODE}\n"
        for node in cluster.nodes
    ]
    return head + "".join(nodes) + PARTITIONS


def files(cluster: Layout) -> dict[str, str]:
    """Return the text of every configuration file, by its name in the cluster's folder."""
    texts = {
        "slurm.conf": slurm_conf(cluster),
        "slurmdbd.conf": SLURMDBD_CONF.format(cluster=cluster),
        "gres.conf": f"Name=gpu File={cluster.root}/dev/gpu[0-{GPUS_PER_NODE - 1}]\n",
    }
    if cluster.cgroup:
        texts["cgroup.conf"] = CGROUP_CONF
    return texts


def hosts(cluster: Layout, node: str) -> str:
    """Return a node's /etc/hosts; a hostile one has 127.0.1.1 for itself, as Debian's installer leaves it."""
    own = "127.0.1.1" if cluster.hostile else cluster.address(node)
    others = [f"{cluster.address(other)} {other}" for other in cluster.nodes if other != node]
    return "\n".join(["127.0.0.1 localhost", f"{cluster.head_address} head", f"{own} {node}", *others, ""])
