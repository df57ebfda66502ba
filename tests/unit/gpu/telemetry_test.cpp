// SPDX-License-Identifier: Apache-2.0
#include "emulator/gpu/telemetry.hpp"

#include <array>
#include <chrono>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "emulator/base/error.hpp"

namespace traindyno {
namespace {

Interval seconds(double begin, double end) {
    return {.begin = from_seconds(begin), .end = from_seconds(end)};
}

/// One reading each 0.5 s from 0 to 4 s. 100 W until 1 s, 500 W from then on; the clock falls by
/// 10 MHz each time.
std::vector<GpuReading> scripted_readings() {
    std::vector<GpuReading> readings;
    for (int i = 0; i <= 8; ++i) {
        const double at = 0.5 * i;
        readings.push_back({.at = from_seconds(at),
                            .sm_clock_mhz = 1900.0 - 10 * i,
                            .power_watts = at < 1 ? 100 : 500,
                            .temperature_c = 40 + i,
                            .energy_joules = 7000 + (at < 1 ? 100 * at : 100 + 500 * (at - 1)),
                            .clock_reasons = i % 2 == 0 ? 0x4U : 0x1U});
    }
    return readings;
}

const GpuLimits limits{.uuid = "GPU-0a", .sm_clock_mhz = 1980, .power_watts = 700};

TEST(TelemetrySummary, counts_what_lies_within_the_measured_steps) {
    const std::array windows{seconds(1, 2), seconds(3, 4)};  // readings 2, 3 and 6, 7
    const TelemetrySummary summary = summarize(limits, scripted_readings(), windows);
    EXPECT_EQ(summary.uuid, "GPU-0a");
    EXPECT_DOUBLE_EQ(summary.seconds, 2);
    EXPECT_EQ(summary.samples, 4);
    EXPECT_DOUBLE_EQ(*summary.mean_sm_clock_mhz, 1900 - 10 * (2 + 3 + 6 + 7) / 4.0);
    EXPECT_EQ(summary.min_sm_clock_mhz, 1830);
    EXPECT_EQ(summary.max_sm_clock_mhz, 1880);
    EXPECT_EQ(summary.sm_clock_limit_mhz, 1980);
    EXPECT_EQ(summary.mean_power_watts, 500);
    EXPECT_EQ(summary.power_limit_watts, 700);
    EXPECT_EQ(summary.max_temperature_c, 47);
    EXPECT_EQ(summary.slowdowns,
              (std::vector<SlowdownShare>{{.reason = "power cap", .share = 0.5}}));
    EXPECT_DOUBLE_EQ(*summary.energy_joules, 1000);  // 2 s of 500 W
}

TEST(TelemetrySummary, interpolates_the_energy_at_the_ends_of_a_step) {
    const std::array across{seconds(0.75, 1.75)};  // 0.25 s of 100 W, 0.75 s of 500 W
    EXPECT_NEAR(*summarize(limits, scripted_readings(), across).energy_joules, 400, 1e-9);
}

TEST(TelemetrySummary, has_no_energy_of_steps_too_short_for_the_counter) {
    const std::array brief{seconds(2, 2.9)};
    const TelemetrySummary summary = summarize(limits, scripted_readings(), brief);
    EXPECT_FALSE(summary.energy_joules.has_value());
    EXPECT_EQ(summary.samples, 2);
}

TEST(TelemetrySummary, has_no_energy_when_the_counter_starts_again) {
    std::vector<GpuReading> readings = scripted_readings();
    readings[5].energy_joules = 3;
    EXPECT_FALSE(summarize(limits, readings, std::array{seconds(0, 4)}).energy_joules.has_value());
}

TEST(TelemetrySummary, leaves_out_what_the_gpu_does_not_tell) {
    const std::array readings{GpuReading{.at = from_seconds(1)}, GpuReading{.at = from_seconds(2)}};
    const TelemetrySummary summary = summarize({}, readings, std::array{seconds(0, 3)});
    EXPECT_EQ(summary, (TelemetrySummary{.seconds = 3, .samples = 2}));
}

TEST(TelemetrySummary, survives_the_wire) {
    const std::array windows{seconds(0, 4)};
    for (const TelemetrySummary& summary :
         {summarize(limits, scripted_readings(), windows), TelemetrySummary{}}) {
        EXPECT_EQ(telemetry_summary_from_text(to_text(summary)), summary);
    }
}

/// Counts its readings.
class CountingSource final : public TelemetrySource {
  public:
    [[nodiscard]] GpuLimits limits() override { return {.uuid = "GPU-0b"}; }

    [[nodiscard]] GpuReading read() override {
        ++readings_;
        return {.sm_clock_mhz = 1000.0 + readings_};
    }

    [[nodiscard]] int readings() const { return readings_; }

  private:
    int readings_ = 0;
};

TEST(TelemetrySampler, reads_until_it_is_told_to_stop) {
    CountingSource source;
    const SimTime begin = now();
    TelemetrySampler sampler(source, {.hertz = 1000});
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    const std::array window{Interval{.begin = begin, .end = now()}};
    const TelemetrySummary summary = sampler.finish(window);
    EXPECT_EQ(summary.uuid, "GPU-0b");
    EXPECT_GE(summary.samples, 3);
    EXPECT_GE(source.readings(), summary.samples);
    EXPECT_EQ(summary.min_sm_clock_mhz, 1001);
    EXPECT_EQ(summary.max_sm_clock_mhz, 1000.0 + static_cast<double>(summary.samples));
    EXPECT_THROW((void)sampler.finish(window), ContractError);
}

TEST(TelemetrySampler, stops_at_once_however_long_its_period) {
    CountingSource source;
    const SimTime begin = now();
    { const TelemetrySampler sampler(source, {.hertz = 0.01}); }
    EXPECT_LT(to_seconds(now() - begin), 50);
}

TEST(TelemetrySampler, sums_up_a_gpu_read_through_the_library) {
    const Nvml nvml(FAKE_NVML_NEW);
    const auto source = nvml_telemetry(*nvml.gpu("GPU-0a").gpu, "GPU-0a");
    TelemetrySampler sampler(*source, {.hertz = 50});
    const SimTime begin = now();
    std::this_thread::sleep_for(std::chrono::milliseconds(1100));
    const std::array window{Interval{.begin = begin, .end = now()}};
    const TelemetrySummary summary = sampler.finish(window);
    EXPECT_EQ(summary.mean_sm_clock_mhz, 1755);
    EXPECT_EQ(summary.sm_clock_limit_mhz, 1980);
    EXPECT_EQ(summary.mean_power_watts, 400);
    EXPECT_EQ(summary.power_limit_watts, 700);
    EXPECT_EQ(summary.max_temperature_c, 62);
    EXPECT_EQ(
        summary.slowdowns,
        (std::vector<SlowdownShare>{{.reason = "power cap", .share = 1},
                                    {.reason = "thermal slowdown by the driver", .share = 1}}));
    // 400 W by the library's own clock; readings lie up to a few milliseconds beside it.
    EXPECT_NEAR(*summary.energy_joules / summary.seconds, 400, 20);
}

}  // namespace
}  // namespace traindyno
