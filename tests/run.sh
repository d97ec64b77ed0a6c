#!/bin/sh
# Install what the tests need and run them all: checks first, then the suite with its coverage.
# Usage: sh tests/run.sh [pytest arguments]. PYTHON names the interpreter (3.11 or newer).
set -eu
cd "$(dirname "$0")/.."

# A compiler and MPI for Horovod and mpi4py; git for the tests of snapshots.
missing=""
for pair in g++:g++ cmake:cmake make:make mpicxx:libopenmpi-dev mpirun:openmpi-bin git:git; do
    command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair#*:}"
done
header='import os, sysconfig; raise SystemExit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))'
"${PYTHON:-python3}" -c "$header" || missing="$missing python3-dev"
# Clusters of Slurm, which only root can start (tests/cluster).
if [ "$(id -u)" = 0 ]; then
    for command in slurmctld slurmd slurmdbd sbatch munged mariadbd bindfs ip nft; do
        command -v "$command" >/dev/null 2>&1 && continue
        missing="$missing slurmctld slurmd slurmdbd slurm-client slurm-wlm-basic-plugins libpmix2 munge"
        missing="$missing mariadb-server bindfs iproute2 nftables"
        break
    done
    # Containers on their nodes; the images are made of busybox and of Debian's own Python and Open MPI.
    for command in podman runc conmon busybox /usr/bin/python3; do
        command -v "$command" >/dev/null 2>&1 && continue
        missing="$missing podman netavark runc busybox-static python3"
        break
    done
    # A Docker engine and a registry (tests/engine); its images are made of the same, of pip and apt.
    for command in dockerd iptables docker-registry htpasswd ip nft busybox /usr/bin/python3 /usr/bin/pip3; do
        command -v "$command" >/dev/null 2>&1 && continue
        missing="$missing docker.io iptables docker-registry apache2-utils iproute2 nftables"
        missing="$missing busybox-static python3 python3-pip"
        break
    done
fi
if [ -n "$missing" ]; then
    [ "$(id -u)" = 0 ] || { echo "install these packages first:$missing" >&2; exit 2; }
    (
        # The tests start daemons of their own; those of the packages stay off while they are installed.
        policy=/usr/sbin/policy-rc.d
        if [ ! -e "$policy" ]; then
            trap 'rm -f "$policy"' EXIT
            trap 'exit 130' HUP INT TERM
            printf '#!/bin/sh\nexit 101\n' >"$policy"
            chmod 755 "$policy"
        fi
        apt-get -o DPkg::Lock::Timeout=600 -qq update
        # shellcheck disable=SC2086  # a list of names
        DEBIAN_FRONTEND=noninteractive \
            apt-get -o DPkg::Lock::Timeout=600 -qq install -y --no-install-recommends $missing
    )
fi

[ -x .venv/bin/python ] || "${PYTHON:-python3}" -m venv .venv
# The lock is whole. Resolving it again, older pips take a newer coverage for `coverage[toml]` and have no hash.
.venv/bin/python -m pip install --quiet --no-deps --require-hashes -r requirements/test.txt
.venv/bin/python -m pip install --quiet --no-deps -e .
# As pip compiles what it installs for good: where PYTHONDONTWRITEBYTECODE is set, every launch would do it again.
.venv/bin/python -m compileall -q launcher hydra_plugins

.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/pyright
.venv/bin/lint-imports
.venv/bin/python -m tests.audit
.venv/bin/coverage erase
# Three at a time, since tests on clusters wait more than they work; a file's tests share what is started for them.
# In the order of their folders, so that the quick ones of units come last and even out the end.
# A worker that ended is not replaced: its test would begin again, and one that hangs would do so for ever.
rm -f .pytest_cache/v/cache/lastfailed
.venv/bin/coverage run -m pytest -n 3 --dist loadfile --no-loadscope-reorder --max-worker-restart=0 "$@" || {
    code=$?
    [ "$code" = 1 ] && [ "${CI:-}" = true ] || exit "$code"
    .venv/bin/coverage run -m tests.again
}
.venv/bin/coverage combine --quiet
.venv/bin/coverage report --fail-under=90 --skip-covered --sort=cover
