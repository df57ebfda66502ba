// SPDX-License-Identifier: Apache-2.0
#include "emulator/gpu/telemetry_summary.hpp"

#include <nlohmann/json.hpp>

namespace traindyno {

namespace {

nlohmann::json number(const std::optional<double>& value) {
    return value ? nlohmann::json(*value) : nlohmann::json(nullptr);
}

std::optional<double> number(const nlohmann::json& json) {
    return json.is_null() ? std::nullopt : std::optional{json.get<double>()};
}

}  // namespace

std::string to_text(const TelemetrySummary& summary) {
    nlohmann::json slowdowns = nlohmann::json::array();
    for (const SlowdownShare& slowdown : summary.slowdowns) {
        slowdowns.push_back({slowdown.reason, slowdown.share});
    }
    return nlohmann::json{{"uuid", summary.uuid},
                          {"seconds", summary.seconds},
                          {"samples", summary.samples},
                          {"energy", number(summary.energy_joules)},
                          {"mean_clock", number(summary.mean_sm_clock_mhz)},
                          {"min_clock", number(summary.min_sm_clock_mhz)},
                          {"max_clock", number(summary.max_sm_clock_mhz)},
                          {"clock_limit", number(summary.sm_clock_limit_mhz)},
                          {"power", number(summary.mean_power_watts)},
                          {"power_limit", number(summary.power_limit_watts)},
                          {"temperature", number(summary.max_temperature_c)},
                          {"slowdowns", slowdowns}}
        .dump();
}

TelemetrySummary telemetry_summary_from_text(const std::string& text) {
    const nlohmann::json json = nlohmann::json::parse(text);
    TelemetrySummary summary{.uuid = json.at("uuid"),
                             .seconds = json.at("seconds"),
                             .samples = json.at("samples"),
                             .energy_joules = number(json.at("energy")),
                             .mean_sm_clock_mhz = number(json.at("mean_clock")),
                             .min_sm_clock_mhz = number(json.at("min_clock")),
                             .max_sm_clock_mhz = number(json.at("max_clock")),
                             .sm_clock_limit_mhz = number(json.at("clock_limit")),
                             .mean_power_watts = number(json.at("power")),
                             .power_limit_watts = number(json.at("power_limit")),
                             .max_temperature_c = number(json.at("temperature")),
                             .slowdowns = {}};
    for (const nlohmann::json& slowdown : json.at("slowdowns")) {
        summary.slowdowns.push_back({.reason = slowdown.at(0), .share = slowdown.at(1)});
    }
    return summary;
}

}  // namespace traindyno
