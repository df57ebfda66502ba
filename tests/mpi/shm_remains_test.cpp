// SPDX-License-Identifier: Apache-2.0
// Shared memory of killed ranks leaves no name behind, and so no page either.
#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/support/process.hpp"

namespace traindyno::test {

namespace {

TEST(SharedMemory, of_killed_ranks_leaves_nothing_behind) {
    // Three ranks reduce until they are killed. They print their process ids when all their memory
    // is in use, and the shell what it finds then: files of theirs that have a name, and mappings
    // that have none. MPI keeps to TCP, which needs no files of its own in /dev/shm.
    const std::string command = fmt::format(
        "'{}' --oversubscribe --bind-to none --mca btl tcp,self -n 3 '{}' > pids.txt 2> errors.txt "
        "& "
        "tries=0; while [ \"$(wc -l < pids.txt)\" -lt 3 ] && [ $tries -lt 200 ]; do "
        "sleep 0.1; tries=$((tries + 1)); done; "
        "for pid in $(cat pids.txt); do "
        "grep -c 'memfd:traindyno (deleted)' /proc/$pid/maps; "
        "grep -c ' /dev/shm/' /proc/$pid/maps; "
        "done; kill -KILL $(cat pids.txt); wait",
        MPIEXEC,
        SHM_RANK);
    const TemporaryFolder folder;
    const ProcessResult result = run_command(command, folder.path());
    // Each maps its own segment and two peers', and nothing in /dev/shm.
    EXPECT_EQ(result.out, "3\n0\n3\n0\n3\n0\n") << result.err;
}

}  // namespace

}  // namespace traindyno::test
