// SPDX-License-Identifier: Apache-2.0
// Shared memory of killed ranks leaves no name behind, and so no page either.
#include <csignal>
#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/support/process.hpp"

namespace traindyno::test {

namespace {

TEST(SharedMemory, of_killed_ranks_leaves_nothing_behind) {
    // Three ranks reduce, look at their own mappings while all memory is in use, and are killed.
    const std::string command =
        fmt::format("timeout --kill-after=5 60 '{}' --oversubscribe --bind-to none -n 3 '{}'",
                    MPIEXEC,
                    SHM_RANK);
    const TemporaryFolder folder;
    const ProcessResult result = run_command(command, folder.path());
    EXPECT_EQ(result.exit_code, 128 + SIGKILL) << result.err;
    // Each maps its own segment and two peers', which have no name, and nothing that has one.
    const std::string line = "without a name 3, with one 0\n";
    EXPECT_EQ(result.out, line + line + line) << result.err;
}

}  // namespace

}  // namespace traindyno::test
