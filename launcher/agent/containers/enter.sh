#!/bin/sh
# Runs a process in a container: `enter.sh END LOG FOLDER PROGRAM…`. Its environment comes as lines of shell on
# standard input, so that no value stands in a command line. END is there from the start and tells its exit code
# afterwards: what entered the container for it may be ended by a signal before.
: >"$1" || exit 125
lines=$(cat) && eval "$lines"
if [ -n "${LAUNCHER_PATH-}" ]; then
    PATH=$LAUNCHER_PATH:$PATH
    unset LAUNCHER_PATH
fi
exec >>"$2" 2>&1
exec <"${LAUNCHER_STDIN:-/dev/null}"
unset LAUNCHER_STDIN
end=$1
cd "$3" || exit 126
shift 3
command -v "$1" >/dev/null || echo "$1: no such program in the container"
trap : HUP INT TERM USR1 USR2 # it gets them as well, and this shell waits
"$@"
code=$?
echo "$code" >"$end"
exit "$code"
