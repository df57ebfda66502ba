// SPDX-License-Identifier: Apache-2.0
#include "emulator/study/measure_point.hpp"

#include <gtest/gtest.h>

#include "emulator/device/timed/timed_device.hpp"
#include "emulator/engine/host_driven.hpp"

namespace traindyno {
namespace {

/// One rank on a device whose operations take 5 ms each.
class TimedBackend final : public HostDrivenBackend {
  public:
    [[nodiscard]] std::unique_ptr<Device> make_device() override {
        return make_timed_device(
            {.duration = [](const ComputeOp&) { return from_seconds(0.005); }, .name = "timed"});
    }
};

/// 300 W, by a counter that follows the clock.
class SteadyGpu final : public TelemetrySource {
  public:
    [[nodiscard]] GpuLimits limits() override { return {.uuid = "GPU-0a"}; }

    [[nodiscard]] GpuReading read() override {
        return {.sm_clock_mhz = 1500, .energy_joules = 300 * to_seconds(now() - start_)};
    }

  private:
    SimTime start_ = now();
};

PointPlan tiny_plan() {
    PointPlan plan{.model = {.name = "tiny",
                             .layers = 2,
                             .hidden = 16,
                             .heads = 2,
                             .kv_heads = 2,
                             .head_size = 8,
                             .ffn = 64,
                             .seq = 8,
                             .vocab = 20},
                   .layout = {},
                   .setup = {}};
    plan.setup.global_batch = 1;
    return plan;
}

TEST(MeasurePoint, samples_the_gpu_during_the_measured_steps_only) {
    const auto self = Communicator::serial();
    const PointPlan plan = tiny_plan();
    const MeasureOptions options{.steps = 6, .warmup = 2};
    const RankPlace place{.host = "node-a"};
    TimedBackend backend;
    SteadyGpu gpu;
    const auto point = measure_point(*self,
                                     backend,
                                     {.plan = plan,
                                      .options = options,
                                      .place = place,
                                      .progress = [](const auto&) {},
                                      .gpu = &gpu});
    ASSERT_TRUE(point.has_value());
    ASSERT_TRUE(point->ranks_detail.at(0).gpu.has_value());
    const TelemetrySummary& summary = *point->ranks_detail[0].gpu;
    EXPECT_NEAR(summary.seconds, 6 * point->step_seconds.mean, 1e-6);
    EXPECT_EQ(summary.mean_sm_clock_mhz, 1500);
    ASSERT_GT(summary.seconds, 1);  // or there is no energy
    EXPECT_NEAR(*point->energy_joules, 300 * summary.seconds, 0.1 * 300 * summary.seconds);
    EXPECT_DOUBLE_EQ(*point->joules_per_token, *point->energy_joules / (6 * 8));
}

TEST(MeasurePoint, has_no_telemetry_without_a_gpu) {
    const auto self = Communicator::serial();
    const PointPlan plan = tiny_plan();
    const MeasureOptions options{.steps = 1, .warmup = 1};
    const RankPlace place{.host = "node-a"};
    TimedBackend backend;
    const auto point = measure_point(
        *self,
        backend,
        {.plan = plan, .options = options, .place = place, .progress = [](const auto&) {}});
    ASSERT_TRUE(point.has_value());
    EXPECT_FALSE(point->ranks_detail.at(0).gpu.has_value());
    EXPECT_FALSE(point->energy_joules.has_value());
}

}  // namespace
}  // namespace traindyno
