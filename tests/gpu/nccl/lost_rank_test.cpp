// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <string>

#include <gtest/gtest.h>

#include "tests/gpu/require_gpu.hpp"
#include "tests/support/process.hpp"

namespace traindyno::test {

namespace {

TEST(LostRank, stops_the_others_and_is_named_by_what_hung) {
    TD_REQUIRE_GPU();
    const TemporaryFolder folder;
    const auto start = std::chrono::steady_clock::now();
    const ProcessResult result = run_command("timeout 100 '" LOST_RANK "'", folder.path());
    EXPECT_EQ(result.exit_code, 5) << result.out << result.err;
    EXPECT_NE(result.out.find("ncclAllReduce of 536870912 bytes by rank 0 of 2 in the test"),
              std::string::npos)
        << result.out;
    // Set-up takes a few seconds, the deadline is 10 s.
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds{60});
}

}  // namespace

}  // namespace traindyno::test
