# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What the launch scripts share. Source it; it changes nothing but `root` and the functions below.

# shellcheck disable=SC2034  # for the scripts that source this
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; }

# die CODE MESSAGE...: exit codes as in README.md ("Exit codes").
die() {
    local code=$1
    shift
    say "$@"
    exit "$code"
}

# Prints the comment block at the top of the calling script, from line 3 on, without the '# '.
print_help() { sed -n '3,/^$/{s/^# \{0,1\}//;p}' "$0"; }

# Processors this shell may use. OMP_NUM_THREADS would change what nproc says.
processors() { env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc; }

# Whole processors that the control group's quota allows, or a large number without a quota.
quota_processors() {
    local quota period
    if read -r quota period 2>/dev/null </sys/fs/cgroup/cpu.max && [[ $quota != max ]]; then
        echo $((quota >= period ? quota / period : 1))
    else
        echo 1000000
    fi
}

# Physical cores this shell may use: two hyperthreads share one core's arithmetic units.
physical_cores() {
    local cores usable quota
    cores=$(lscpu --parse=CORE,SOCKET | grep -v '^#' | sort -u | wc -l)
    usable=$(processors)
    quota=$(quota_processors)
    printf '%s\n' "$cores" "$usable" "$quota" | sort -n | head -n 1
}

# "1,2,4,6" for 6: powers of two, then the number itself.
points_up_to() {
    local last=$1 n points=1
    for ((n = 2; n < last; n *= 2)); do
        points+=,$n
    done
    ((last == 1)) || points+=,$last
    echo "$points"
}

# Open MPI refuses to run as root unless told twice; harmless for other users.
allow_mpi_as_root() { export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1; }
