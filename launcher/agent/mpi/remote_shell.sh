#!/bin/sh
# mpirun's remote shell: `remote_shell.sh HOST COMMAND…`. Hands both to the agent that started mpirun, through a
# file (a FIFO keeps only 4 KiB whole) and a line in a FIFO that says which.
set -eu
while [ "${1#-}" != "$1" ]; do shift; done # options of ssh, which MPICH and Intel MPI give
host=$1
shift
request=$LAUNCHER_SHIM/request-$$
# Open MPI's daemons leave this shell; those of MPICH and Intel MPI are taken for dead with it.
if [ -n "${LAUNCHER_SHIM_WAITS-}" ]; then
    mkfifo "$request.end"
    exec 3<>"$request.end"
fi
printf '%s\n%s\n' "$host" "$*" >"$request.draft"
mv "$request.draft" "$request"
printf '%s\n' "request-$$" >"$LAUNCHER_SHIM/requests.fifo"
[ -n "${LAUNCHER_SHIM_WAITS-}" ] || exit 0
read -r code <&3
exit "$code"
