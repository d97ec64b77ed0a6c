"""The line of mpirun in the spelling of each MPI, and Slurm's srun in its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.plan import MpiLine

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from launcher.facts import Mpi
    from launcher.spec import RunSpec

RANK_STUB = ("sh", "@{agent}/mpi/rank.sh")
"""Gives every rank its own log and metrics file and records how it ended."""

SHIM = "@{agent}/mpi/remote_shell.sh"
"""mpirun's remote shell: it asks the agents."""

PMI = {"openmpi": "pmix", "mpich": "pmi2"}
"""What ranks that srun started ask for their rank, by the flavour of their MPI."""

_LOOPBACK = "127.0.0.0/8"


def mpirun_line(mpi: Mpi, spec: RunSpec, options: Sequence[str] | None, cpus: int) -> MpiLine:
    """Return the line that starts every rank by mpirun.

    Args:
        mpi: whose mpirun.
        spec: of the run.
        options: further ones, in place of what keeps mpirun from pinning each rank to one core.
        cpus: of this machine.
    """
    program = (*RANK_STUB, *spec.program)
    if mpi.flavour == "openmpi":
        argv = [
            mpi.mpirun,
            *_open_mpi(mpi, spec, options),
            *(["--bind-to", "none"] if options is None else options),
        ]
        return MpiLine(argv=tuple(argv), program=program, env=_simulation_env(spec, cpus))
    resources, env = spec.resources, _hydra_env(mpi, spec, pinned=options is not None)
    argv = [mpi.mpirun]
    if resources.nodes > 1:
        hosts = ",".join(f"@{{node.{node}}}" for node in range(resources.nodes))
        # -genvnone: a rank has the environment of its node's daemon, which is that of an agent.
        argv += ["-launcher", "ssh", "-launcher-exec", SHIM, "-genvnone", "-iface", "@{interface}"]
        argv += ["-hosts", hosts, "-ppn", str(resources.processes_per_node)]
    unpinned = ["-bind-to", "none"] if mpi.flavour == "mpich" else []
    argv += ["-n", str(resources.world_size), *(unpinned if options is None else options)]
    return MpiLine(argv=tuple(argv), program=program, env=env)


def srun_line(mpi: Mpi | None, spec: RunSpec, options: Sequence[str] | None) -> MpiLine:
    """Return the line that starts every rank by a step of the Slurm job."""
    resources = spec.resources
    argv = [
        "srun",
        f"--mpi={PMI[mpi.flavour if mpi else 'openmpi']}",
        "--overlap",
        f"--nodes={resources.nodes}",
    ]
    argv += [f"--ntasks={resources.world_size}", f"--ntasks-per-node={resources.processes_per_node}"]
    argv += [
        "--distribution=block",
        "--export=ALL",
        "--input=none",
        "--mem=0",
        "--kill-on-bad-exit=1",
    ]
    if resources.cpus_per_process:
        argv += [f"--cpus-per-task={resources.cpus_per_process}"]  # no step inherits it since Slurm 22.05
    argv += ["--cpu-bind=none"] if options is None else options
    env = (
        _open_mpi_env(spec) if mpi is None or mpi.flavour == "openmpi" else _hydra_env(mpi, spec, pinned=True)
    )
    return MpiLine(argv=tuple(argv), program=(*RANK_STUB, *spec.program), env=env)


def _open_mpi_env(spec: RunSpec) -> dict[str, str]:
    """Return what srun, and ranks that no mpirun tells of the network, are told by their environment."""
    env: dict[str, str] = {}
    if spec.resources.nodes > 1:
        env["OMPI_MCA_btl_tcp_if_include"] = "@{subnet}"
        # By default ranks do not wait for other nodes at the end of MPI_Init, and one that is late dies of a
        # message it cannot take yet, by signal 11: on fewer nodes than TreeWidth every node is the root of a
        # tree of its own (Slurm's reverse_tree_info, 20.11 to 24.11 at least). With 22.05 this took 15 of 329
        # launches; with the variable, of 670 none.
        env["SLURM_PMIX_FENCE"] = "ring"
        ports = spec.compute.features.port_range
        if ports is not None:
            env["OMPI_MCA_btl_tcp_port_min_v4"] = str(ports[0])
            env["OMPI_MCA_btl_tcp_port_range_v4"] = str(ports[1] - ports[0])
    return {name: value for name, value in env.items() if name not in spec.env}


def _simulation_env(spec: RunSpec, cpus: int) -> dict[str, str]:
    """Return what Open MPI needs if one machine simulates several nodes; `mpi_args` and `env` override it."""
    resources = spec.resources
    if resources.nodes == 1 or spec.compute.features.several_hosts:
        return {}
    values = {
        # Shared memory would pair ranks that take each other for ranks on different hosts.
        "pml": "ob1",
        "btl": "tcp,self",
        "btl_tcp_if_include": _LOOPBACK,
        "oob_tcp_if_include": _LOOPBACK,
        # Windows: over TCP only osc/ucx and osc/pt2pt work, and Debian disables both. pt2pt refuses
        # MPI_THREAD_MULTIPLE, which mpi4py asks for. By default ucx takes only InfiniBand.
        "osc": "^monitoring",
        "opal_common_ucx_tls": "any",
        "opal_common_ucx_devices": "any",
    }
    if resources.world_size > cpus:
        # Ranks that wait spin; Open MPI cannot see that these nodes share CPUs. Halves the time of
        # Horovod with 4 ranks on 2 cores.
        values["mpi_yield_when_idle"] = "1"
    env = {f"OMPI_MCA_{name}": value for name, value in values.items()}
    return {name: value for name, value in env.items() if name not in spec.env}


def _open_mpi(mpi: Mpi, spec: RunSpec, options: Sequence[str] | None) -> Iterable[str]:
    resources = spec.resources
    # Processes that a rank spawns need slots beyond those of the ranks. mpirun takes no two such options.
    spare = [] if any("oversubscribe" in option for option in options or ()) else ["--oversubscribe"]
    if resources.nodes == 1:
        return [*spare, "-np", str(resources.world_size)]
    newer = mpi.major >= 5  # noqa: PLR2004  # whose daemons are PRRTE's
    runtime, launch = ("--prtemca", "ssh") if newer else ("--mca", "rsh")
    argv = [runtime, "plm", launch, runtime, f"plm_{launch}_agent", SHIM]
    argv += [runtime, f"plm_{launch}_no_tree_spawn", "1"]
    if not spec.compute.features.several_hosts:
        argv += spare
    else:
        argv += ["--mca", "btl_tcp_if_include", "@{subnet}"]
        argv += [runtime, "prte_if_include" if newer else "oob_tcp_if_include", "@{subnet}"]
        ports = spec.compute.features.port_range
        if ports is not None:
            first, last = ports
            argv += ["--mca", "btl_tcp_port_min_v4", str(first)]
            argv += ["--mca", "btl_tcp_port_range_v4", str(last - first)]
            # Few: mpirun and its daemons listen at each of them (seen with 4.1.4 and 5.0.11).
            argv += [runtime, "oob_tcp_dynamic_ipv4_ports", "@{few_ports}"]
    hosts = ",".join(f"@{{node.{node}}}:{resources.processes_per_node}" for node in range(resources.nodes))
    return [*argv, "-H", hosts, "-np", str(resources.world_size)]


def _hydra_env(mpi: Mpi, spec: RunSpec, *, pinned: bool) -> dict[str, str]:
    """Return what MPICH and Intel MPI are told by their environment, where the user does not."""
    env: dict[str, str] = {}
    if mpi.flavour == "intel" and not pinned:
        env["I_MPI_PIN"] = "off"
    ports = spec.compute.features.port_range
    if spec.resources.nodes > 1:
        env["LAUNCHER_SHIM_WAITS"] = "yes"
        env["FI_TCP_IFACE"], env["UCX_NET_DEVICES"] = "@{interface}", "@{devices}"
        if ports is not None:
            first, last = map(str, ports)
            env["MPIEXEC_PORT_RANGE"] = env["I_MPI_PORT_RANGE"] = f"{first}:{last}"
            env["FI_TCP_PORT_LOW_RANGE"], env["FI_TCP_PORT_HIGH_RANGE"] = first, last
            env["UCX_TCP_PORT_RANGE"] = f"{first}-{last}"
    return {name: value for name, value in env.items() if name not in spec.env}
