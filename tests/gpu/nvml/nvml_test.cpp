// SPDX-License-Identifier: Apache-2.0
// The driver's own NVML about the GPUs that CUDA sees.
#include "emulator/gpu/nvml.hpp"

#include <array>
#include <chrono>
#include <thread>

#include <gtest/gtest.h>

#include "emulator/device/cpu/binding.hpp"
#include "emulator/gpu/module.hpp"
#include "emulator/gpu/telemetry.hpp"
#include "tests/gpu/require_gpu.hpp"

namespace traindyno {
namespace {

TEST(NvmlOnGpu, knows_every_gpu_by_cudas_uuid) {
    TD_REQUIRE_GPU();
    const GpuInventory inventory = gpu_inventory();
    ASSERT_FALSE(inventory.devices.empty()) << inventory.problem;
    const Nvml nvml;
    ASSERT_EQ(nvml.problem(), "");
    for (const GpuDescription& device : inventory.devices) {
        const NvmlGpuSearch search = nvml.gpu(device.uuid);
        ASSERT_TRUE(search.gpu.has_value()) << search.problem;
        EXPECT_EQ(search.gpu->name(), device.name);
        EXPECT_GT(search.gpu->sm_clock_mhz().value_or(0), 100);
        EXPECT_GT(search.gpu->memory_clock_mhz().value_or(0), 100);
        EXPECT_GE(search.gpu->max_sm_clock_mhz().value_or(0),
                  search.gpu->sm_clock_mhz().value_or(0));
        EXPECT_GT(search.gpu->enforced_power_limit_watts().value_or(0), 50);
        EXPECT_GT(search.gpu->temperature_c().value_or(0), 10);
        EXPECT_LT(search.gpu->temperature_c().value_or(1000), 110);
        EXPECT_TRUE(search.gpu->clock_reasons().has_value());
    }
}

TEST(NvmlOnGpu, energy_and_power_agree) {
    TD_REQUIRE_GPU();
    const std::string uuid = gpu_inventory().devices.at(0).uuid;
    const NvmlGpuSearch search = Nvml().gpu(uuid);
    ASSERT_TRUE(search.gpu.has_value()) << search.problem;
    const auto source = nvml_telemetry(*search.gpu, uuid);
    TelemetrySampler sampler(*source);
    const SimTime begin = now();
    std::this_thread::sleep_for(std::chrono::seconds(3));
    const std::array window{Interval{.begin = begin, .end = now()}};
    const TelemetrySummary summary = sampler.finish(window);
    EXPECT_GE(summary.samples, 30);  // of 60
    ASSERT_TRUE(summary.energy_joules.has_value());
    ASSERT_TRUE(summary.mean_power_watts.has_value());
    // Other programs may start or stop on the GPU meanwhile: power is a mean of the last second.
    const double watts = *summary.energy_joules / summary.seconds;
    EXPECT_GT(watts, 0.5 * *summary.mean_power_watts);
    EXPECT_LT(watts, 2 * *summary.mean_power_watts);
}

TEST(NvmlOnGpu, cores_near_a_gpu_are_cores_of_the_host) {
    TD_REQUIRE_GPU();
    const std::vector<int> cores = cores_near(gpu_inventory().devices.at(0).pci_bus_id);
    if (cores.empty()) {
        GTEST_SKIP() << "the topology of this host does not show the GPU";
    }
    EXPECT_LE(static_cast<std::int64_t>(cores.size()), host_resources().cores);
}

}  // namespace
}  // namespace traindyno
