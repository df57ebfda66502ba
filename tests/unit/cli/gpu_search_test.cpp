// SPDX-License-Identifier: Apache-2.0
#include "emulator/cli/gpu_search.hpp"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace traindyno {
namespace {

TEST(GpuDisagreement, is_none_where_every_rank_sees_a_gpu_or_no_rank_does) {
    EXPECT_FALSE(gpu_disagreement({"", "", ""}));
    EXPECT_FALSE(gpu_disagreement({"node1: no driver", "node2: no CUDA device is visible"}));
    EXPECT_FALSE(gpu_disagreement({"node1: no driver"}));
}

TEST(GpuDisagreement, names_the_first_rank_without_a_gpu_and_why) {
    const auto text = gpu_disagreement({"", "", "node7: no driver", "node8: no driver"});
    ASSERT_TRUE(text);
    for (const std::string part : {"2 of 4 ranks", "rank 2", "node7: no driver", "--device cpu"}) {
        EXPECT_NE(text->find(part), std::string::npos) << *text;
    }
}

}  // namespace
}  // namespace traindyno
