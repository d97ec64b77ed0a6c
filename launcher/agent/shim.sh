#!/bin/sh
# mpirun's remote shell: `shim.sh HOST COMMAND…`. Hands both to the agent that started mpirun, through a
# file (a FIFO keeps only 4 KiB whole) and a line in a FIFO that says which.
set -eu
host=$1
shift
request=$LAUNCHER_SHIM/request-$$
printf '%s\n%s\n' "$host" "$*" >"$request.draft"
mv "$request.draft" "$request"
printf '%s\n' "request-$$" >"$LAUNCHER_SHIM/doorbell"
