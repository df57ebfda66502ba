// SPDX-License-Identifier: Apache-2.0
// How a GPU ran during the measured steps: clock, power, temperature, energy.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace traindyno {

/// One reason that slowed the clocks down.
struct SlowdownShare {
    std::string reason;  ///< "power cap"
    double share = 0;    ///< of the samples

    friend bool operator==(const SlowdownShare&, const SlowdownShare&) = default;
};

/// Figures are empty where the GPU or its driver gives none.
struct TelemetrySummary {
    std::string uuid{};        ///< of the GPU: ranks that share one read the same counters
    double seconds = 0;        ///< of measured steps
    std::int64_t samples = 0;  ///< read within them
    std::optional<double> energy_joules{};  ///< over `seconds`, by the GPU's counter
    std::optional<double> mean_sm_clock_mhz{};
    std::optional<double> min_sm_clock_mhz{};
    std::optional<double> max_sm_clock_mhz{};    ///< seen
    std::optional<double> sm_clock_limit_mhz{};  ///< the most this GPU can do
    std::optional<double> mean_power_watts{};
    std::optional<double> power_limit_watts{};
    std::optional<double> max_temperature_c{};
    std::vector<SlowdownShare> slowdowns{};  ///< largest share first

    friend bool operator==(const TelemetrySummary&, const TelemetrySummary&) = default;
};

/// One line of JSON, and back.
[[nodiscard]] std::string to_text(const TelemetrySummary& summary);
[[nodiscard]] TelemetrySummary telemetry_summary_from_text(const std::string& text);

}  // namespace traindyno
