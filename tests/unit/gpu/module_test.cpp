// SPDX-License-Identifier: Apache-2.0
#include "emulator/gpu/module.hpp"

#include <string>

#include <gtest/gtest.h>

#include "emulator/gpu/inventory_text.hpp"

namespace traindyno {
namespace {

TEST(GpuModule, that_cannot_be_loaded_is_named) {
    const GpuModuleSearch search = detail::load_gpu_module("libno-such-module.so");
    EXPECT_EQ(search.module, nullptr);
    EXPECT_NE(search.problem.find("libno-such-module.so"), std::string::npos);
    EXPECT_EQ(search.problem.find('\n'), std::string::npos);
}

TEST(GpuModule, that_is_another_library_is_refused) {
    EXPECT_NE(detail::load_gpu_module(NOT_NVML).problem.find("not a GPU module"),
              std::string::npos);
}

TEST(GpuInventory, has_devices_or_a_reason_on_one_line) {
    const GpuInventory inventory = gpu_inventory();
    EXPECT_EQ(inventory.devices.empty(), !inventory.problem.empty()) << inventory.problem;
    EXPECT_EQ(inventory.problem.find('\n'), std::string::npos) << inventory.problem;
#ifdef TD_HAS_CUDA
    // The module was built beside this test: even without a GPU it knows its libraries.
    ASSERT_FALSE(inventory.libraries.empty()) << inventory.problem;
    EXPECT_NE(to_text(inventory).find("CUDA runtime "), std::string::npos);
#endif
}

}  // namespace
}  // namespace traindyno
