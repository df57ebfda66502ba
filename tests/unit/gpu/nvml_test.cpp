// SPDX-License-Identifier: Apache-2.0
#include "emulator/gpu/nvml.hpp"

#include <string>
#include <vector>

#include <dlfcn.h>
#include <gtest/gtest.h>

namespace traindyno {
namespace {

using Names = std::vector<std::string>;

TEST(Nvml, answers_every_question_of_a_new_driver) {
    const Nvml nvml(FAKE_NVML_NEW);
    ASSERT_EQ(nvml.problem(), "");
    const NvmlGpuSearch search = nvml.gpu("GPU-0a");
    ASSERT_TRUE(search.gpu.has_value()) << search.problem;
    const NvmlGpu& gpu = *search.gpu;
    EXPECT_EQ(gpu.name(), "NVIDIA H200");
    EXPECT_EQ(gpu.sm_clock_mhz(), 1755);
    EXPECT_EQ(gpu.memory_clock_mhz(), 3201);
    EXPECT_EQ(gpu.max_sm_clock_mhz(), 1980);
    EXPECT_EQ(gpu.power_watts(), 400);
    EXPECT_EQ(gpu.enforced_power_limit_watts(), 700);
    EXPECT_EQ(gpu.temperature_c(), 62);
    EXPECT_GE(gpu.energy_joules().value_or(0), 1000);
    EXPECT_EQ(gpu.clock_reasons(), std::uint64_t{0x24});
    EXPECT_EQ(gpu.mig_mode(), MigMode::off);
}

TEST(Nvml, asks_an_old_driver_by_the_old_names) {
    const Nvml nvml(FAKE_NVML_OLD);
    const NvmlGpuSearch search = nvml.gpu("GPU-0a");
    ASSERT_TRUE(search.gpu.has_value()) << search.problem;
    EXPECT_EQ(search.gpu->temperature_c(), 61);
    EXPECT_EQ(search.gpu->clock_reasons(), std::uint64_t{0x4});
    EXPECT_FALSE(search.gpu->mig_mode().has_value());
}

TEST(Nvml, names_the_gpu_it_does_not_know) {
    EXPECT_EQ(Nvml(FAKE_NVML_NEW).gpu("GPU-ff").problem, "NVML: GPU-ff: Not Found");
}

TEST(Nvml, says_why_it_cannot_be_loaded) {
    const Nvml missing("libno-such-nvml.so.1");
    EXPECT_NE(missing.problem().find("libno-such-nvml.so.1"), std::string::npos);
    EXPECT_EQ(missing.gpu("GPU-0a").problem, missing.problem());
    EXPECT_NE(Nvml(NOT_NVML).problem().find("has not the functions of NVML"), std::string::npos);
}

TEST(Nvml, stops_the_library_after_the_last_of_its_gpus) {
    void* const library = dlopen(FAKE_NVML_NEW, RTLD_NOW);
    ASSERT_NE(library, nullptr);
    const auto users = reinterpret_cast<int (*)()>(dlsym(library, "fake_users"));
    ASSERT_NE(users, nullptr);
    {
        const NvmlGpuSearch search = Nvml(FAKE_NVML_NEW).gpu("GPU-0a");
        EXPECT_EQ(users(), 1);
        EXPECT_EQ(search.gpu->sm_clock_mhz(), 1755);
    }
    EXPECT_EQ(users(), 0);
    dlclose(library);
}

TEST(SlowdownNames, tell_slowdowns_from_being_idle) {
    EXPECT_EQ(slowdown_names(0), Names{});
    EXPECT_EQ(slowdown_names(0x1), Names{});
    EXPECT_EQ(slowdown_names(0x1 | 0x4 | 0x80), (Names{"power cap", "power brake"}));
    EXPECT_EQ(slowdown_names(0x200), Names{"clock reason bit 9"});
}

}  // namespace
}  // namespace traindyno
