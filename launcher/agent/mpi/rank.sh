#!/bin/sh
# Started by mpirun, or srun, for every rank: `rank.sh PROGRAM…`. Gives the rank its own log and metrics file and
# records how it ended, since they tell only one exit code.
rank=${OMPI_COMM_WORLD_RANK:-${PMIX_RANK:-${PMI_RANK:?no MPI rank in the environment}}}
local_rank=${OMPI_COMM_WORLD_LOCAL_RANK:-${MPI_LOCALRANKID:-${SLURM_LOCALID:-0}}}
export LAUNCHER_RANK="$rank" LAUNCHER_LOCAL_RANK="$local_rank" LAUNCHER_INDEX="$rank"
export LAUNCHER_METRICS="$LAUNCHER_METRICS_FOLDER/worker-$rank.jsonl"
for name in SLURM_JOB_ID SLURM_JOB_NODELIST SLURM_ARRAY_JOB_ID SLURM_ARRAY_TASK_ID; do
    eval "value=\${LAUNCHER_$name-}"
    [ -z "$value" ] || export "$name=$value"
done
if [ -n "${LAUNCHER_STEP_TMP+set}" ]; then # by srun, which gives all ranks the first node's environment
    export LAUNCHER_NODE="$SLURM_NODEID" LAUNCHER_MARK="${LAUNCHER_MARK%#*}#$SLURM_NODEID"
    export CUDA_VISIBLE_DEVICES="${CUDA_VISIBLE_DEVICES-}"
    if [ -n "$LAUNCHER_STEP_TMP" ]; then
        TMPDIR=${TMPDIR:-/tmp}/$(echo "$LAUNCHER_STEP_TMP" | cut -d' ' -f$((SLURM_NODEID + 1)))/job
        export TMPDIR
        for folder in "${TMPDIR%/job}" "$TMPDIR"; do
            (umask 077 && mkdir "$folder") 2>/dev/null
            # Kind, mode and owner by one look: between two, another user could replace what he made.
            ls -ldn "$folder" 2>/dev/null | {
                read -r mode _ owner _
                case $mode in drwx--[-S]--[-T]*) [ "$owner" = "$(id -u)" ] ;; *) false ;; esac
            } && continue
            echo "$(uname -n): $folder is not a private folder of this user; remove it" >&2
            exit 71
        done
    fi
fi
exec >>"$LAUNCHER_PROCESS_LOGS/worker-$rank.log" 2>&1
: >"$LAUNCHER_RANK_ENDS/rank-$rank" # stays empty when this shell is killed
case $1 in
*/*) [ -f "$1" ] && [ -x "$1" ] || missing=yes ;;
*) command -v "$1" >/dev/null 2>&1 || missing=yes ;;
esac
if [ -n "${missing-}" ]; then
    echo "$1: no such program, or not executable"
    echo 127 >"$LAUNCHER_RANK_ENDS/rank-$rank"
    exit 127
fi
# In the background, so that a signal to this shell reaches the program at once.
stdin=/dev/null
[ "$rank" != 0 ] || stdin=${LAUNCHER_RANK_STDIN:-$stdin}
unset LAUNCHER_RANK_STDIN
child= asked=
trap 'asked=TERM; [ -z "$child" ] || kill -TERM "$child" 2>/dev/null' TERM
trap 'asked=INT; [ -z "$child" ] || kill -INT "$child" 2>/dev/null' INT
"$@" <"$stdin" &
child=$!
[ -z "$asked" ] || kill "-$asked" "$child" 2>/dev/null # it came before there was a child
wait "$child"
code=$?
while kill -0 "$child" 2>/dev/null; do
    wait "$child"
    code=$?
done
echo "$code" >"$LAUNCHER_RANK_ENDS/rank-$rank"
exit "$code"
