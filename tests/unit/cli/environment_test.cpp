// SPDX-License-Identifier: Apache-2.0
#include "emulator/cli/environment.hpp"

#include <gtest/gtest.h>

namespace traindyno {
namespace {

TEST(GatherGpus, of_one_rank_gives_its_own) {
    const auto self = Communicator::serial();
    const GpuInfo gpu{.host = "node-a",
                      .name = "NVIDIA H200",
                      .uuid = "GPU-0a",
                      .memory_bytes = std::int64_t{143'771} << 20U,
                      .capability = 90};
    EXPECT_EQ(gather_gpus(*self, gpu), std::vector<GpuInfo>{gpu});
    EXPECT_EQ(gather_gpus(*self, std::nullopt), std::vector<GpuInfo>{});
}

}  // namespace
}  // namespace traindyno
