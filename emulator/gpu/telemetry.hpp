// SPDX-License-Identifier: Apache-2.0
// Samples a GPU's clock, power, temperature and energy while steps run.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "emulator/device/device.hpp"
#include "emulator/gpu/nvml.hpp"
#include "emulator/gpu/telemetry_summary.hpp"

namespace traindyno {

struct GpuReading {
    SimTime at{0};  ///< on this host's monotonic clock
    std::optional<double> sm_clock_mhz{};
    std::optional<double> power_watts{};
    std::optional<double> temperature_c{};
    std::optional<double> energy_joules{};  ///< a counter: only differences mean something
    std::uint64_t clock_reasons = 0;        ///< NVML's bits

    friend bool operator==(const GpuReading&, const GpuReading&) = default;
};

/// What does not change while steps run.
struct GpuLimits {
    std::string uuid{};
    std::optional<double> sm_clock_mhz{};
    std::optional<double> power_watts{};

    friend bool operator==(const GpuLimits&, const GpuLimits&) = default;
};

/// Where readings come from. Must not throw: a figure that cannot be had is empty.
class TelemetrySource {
  public:
    virtual ~TelemetrySource() = default;

    [[nodiscard]] virtual GpuLimits limits() = 0;
    /// Everything but `at`. Calls come one at a time, from different threads.
    [[nodiscard]] virtual GpuReading read() = 0;
};

[[nodiscard]] std::unique_ptr<TelemetrySource> nvml_telemetry(NvmlGpu gpu, std::string uuid);

/// What `readings`, ascending in time, say about `windows`, ascending and apart. Energy is
/// interpolated between readings; it is empty when the windows are together shorter than 1 s,
/// because counters move on about every 0.1 s (Yang et al., arXiv:2312.02741).
[[nodiscard]] TelemetrySummary summarize(const GpuLimits& limits,
                                         std::span<const GpuReading> readings,
                                         std::span<const Interval> windows);

struct TelemetryOptions {
    double hertz = 20;
};

/// Samples from construction until finish(), on a thread of its own.
class TelemetrySampler {
  public:
    explicit TelemetrySampler(TelemetrySource& source, const TelemetryOptions& options = {});

    /// Stops. `windows` are the measured steps, within the sampler's life. Called once.
    [[nodiscard]] TelemetrySummary finish(std::span<const Interval> windows);

  private:
    void sample(const std::stop_token& stop, double period_seconds);
    void take_reading();

    TelemetrySource& source_;
    std::vector<GpuReading> readings_;  ///< the thread's while it runs
    std::mutex mutex_;
    std::condition_variable_any wake_;
    std::jthread thread_;
};

}  // namespace traindyno
