// SPDX-License-Identifier: Apache-2.0
#include "emulator/gpu/telemetry.hpp"

#include <algorithm>
#include <chrono>
#include <map>
#include <utility>

#include "emulator/base/error.hpp"

namespace traindyno {

namespace {

/// Ten of a counter's steps: a tenth of the figure may be wrong.
constexpr double least_energy_seconds = 1;

class NvmlTelemetry final : public TelemetrySource {
  public:
    NvmlTelemetry(NvmlGpu gpu, std::string uuid) : gpu_(std::move(gpu)), uuid_(std::move(uuid)) {}

    [[nodiscard]] GpuLimits limits() override {
        return {.uuid = uuid_,
                .sm_clock_mhz = gpu_.max_sm_clock_mhz(),
                .power_watts = gpu_.enforced_power_limit_watts()};
    }

    [[nodiscard]] GpuReading read() override {
        return {.sm_clock_mhz = gpu_.sm_clock_mhz(),
                .power_watts = gpu_.power_watts(),
                .temperature_c = gpu_.temperature_c(),
                .energy_joules = gpu_.energy_joules(),
                .clock_reasons = gpu_.clock_reasons().value_or(0)};
    }

  private:
    NvmlGpu gpu_;
    std::string uuid_;
};

/// Least, most and mean of what was there.
class Figure {
  public:
    void add(const std::optional<double>& value) {
        if (value) {
            least_ = count_ == 0 ? *value : std::min(least_, *value);
            most_ = count_ == 0 ? *value : std::max(most_, *value);
            sum_ += *value;
            count_ += 1;
        }
    }

    [[nodiscard]] std::optional<double> least() const { return given(least_); }

    [[nodiscard]] std::optional<double> most() const { return given(most_); }

    [[nodiscard]] std::optional<double> mean() const {
        return count_ > 0 ? std::optional{sum_ / count_} : std::nullopt;
    }

  private:
    [[nodiscard]] std::optional<double> given(double value) const {
        return count_ > 0 ? std::optional{value} : std::nullopt;
    }

    double least_ = 0;
    double most_ = 0;
    double sum_ = 0;
    double count_ = 0;
};

std::span<const GpuReading>::iterator first_since(std::span<const GpuReading> readings,
                                                  SimTime time) {
    return std::lower_bound(
        readings.begin(), readings.end(), time, [](const GpuReading& reading, SimTime limit) {
            return reading.at < limit;
        });
}

/// The counter at `time`; beyond the readings, the nearest one's.
double energy_at(std::span<const GpuReading> readings, SimTime time) {
    const auto after = first_since(readings, time);
    if (after == readings.begin()) {
        return *after->energy_joules;
    }
    const GpuReading& before = *(after - 1);
    if (after == readings.end()) {
        return *before.energy_joules;
    }
    const double share = to_seconds(time - before.at) / to_seconds(after->at - before.at);
    return *before.energy_joules + share * (*after->energy_joules - *before.energy_joules);
}

std::optional<double> energy_in(std::span<const GpuReading> readings,
                                std::span<const Interval> windows) {
    std::vector<GpuReading> counted;
    std::copy_if(readings.begin(),
                 readings.end(),
                 std::back_inserter(counted),
                 [](const GpuReading& reading) { return reading.energy_joules.has_value(); });
    const bool goes_back = !std::is_sorted(
        counted.begin(), counted.end(), [](const GpuReading& a, const GpuReading& b) {
            return *a.energy_joules < *b.energy_joules;
        });
    if (counted.size() < 2 || goes_back) {  // back to 0: the driver was loaded anew
        return std::nullopt;
    }
    double sum = 0;
    for (const Interval& window : windows) {
        sum += energy_at(counted, window.end) - energy_at(counted, window.begin);
    }
    return sum;
}

std::vector<SlowdownShare> shares(const std::map<std::string, std::int64_t>& counts,
                                  std::int64_t samples) {
    std::vector<SlowdownShare> list;
    list.reserve(counts.size());
    for (const auto& [reason, count] : counts) {
        list.push_back(
            {.reason = reason, .share = static_cast<double>(count) / static_cast<double>(samples)});
    }
    std::stable_sort(list.begin(), list.end(), [](const SlowdownShare& a, const SlowdownShare& b) {
        return a.share > b.share;
    });
    return list;
}

}  // namespace

std::unique_ptr<TelemetrySource> nvml_telemetry(NvmlGpu gpu, std::string uuid) {
    return std::make_unique<NvmlTelemetry>(std::move(gpu), std::move(uuid));
}

TelemetrySummary summarize(const GpuLimits& limits,
                           std::span<const GpuReading> readings,
                           std::span<const Interval> windows) {
    TelemetrySummary summary{.uuid = limits.uuid,
                             .sm_clock_limit_mhz = limits.sm_clock_mhz,
                             .power_limit_watts = limits.power_watts};
    Figure clock;
    Figure power;
    Figure temperature;
    std::map<std::string, std::int64_t> slowdowns;
    for (const Interval& window : windows) {
        summary.seconds += to_seconds(window.end - window.begin);
        const auto end = first_since(readings, window.end);
        for (auto at = first_since(readings, window.begin); at != end; ++at) {
            const GpuReading& reading = *at;
            summary.samples += 1;
            clock.add(reading.sm_clock_mhz);
            power.add(reading.power_watts);
            temperature.add(reading.temperature_c);
            for (const std::string& reason : slowdown_names(reading.clock_reasons)) {
                slowdowns[reason] += 1;
            }
        }
    }
    summary.mean_sm_clock_mhz = clock.mean();
    summary.min_sm_clock_mhz = clock.least();
    summary.max_sm_clock_mhz = clock.most();
    summary.mean_power_watts = power.mean();
    summary.max_temperature_c = temperature.most();
    summary.slowdowns = shares(slowdowns, summary.samples);
    if (summary.seconds >= least_energy_seconds) {
        summary.energy_joules = energy_in(readings, windows);
    }
    return summary;
}

TelemetrySampler::TelemetrySampler(TelemetrySource& source, const TelemetryOptions& options)
    : source_(source) {
    TD_EXPECT(options.hertz > 0);
    take_reading();
    thread_ = std::jthread(
        [this, period = 1 / options.hertz](const std::stop_token& stop) { sample(stop, period); });
}

TelemetrySummary TelemetrySampler::finish(std::span<const Interval> windows) {
    TD_EXPECT(thread_.joinable());
    thread_.request_stop();
    thread_.join();
    take_reading();
    return summarize(source_.limits(), readings_, windows);
}

void TelemetrySampler::sample(const std::stop_token& stop, double period_seconds) {
    const std::chrono::duration<double> period(period_seconds);
    std::unique_lock lock(mutex_);
    while (!stop.stop_requested()) {
        wake_.wait_for(lock, stop, period, [] { return false; });
        take_reading();
    }
}

void TelemetrySampler::take_reading() {
    GpuReading reading = source_.read();
    reading.at = now();
    readings_.push_back(reading);
}

}  // namespace traindyno
