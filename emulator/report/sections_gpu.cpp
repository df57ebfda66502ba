// SPDX-License-Identifier: Apache-2.0
// What the report says about GPUs: how they ran, and which they are.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "emulator/base/quantity_text.hpp"
#include "emulator/report/sections.hpp"
#include "emulator/report/wording.hpp"

namespace traindyno {

namespace {

/// Longer tables show the GPUs with the lowest clocks; charts/ and study.json have all.
constexpr std::size_t listed_gpus = 32;

/// A counter moves on about every 0.1 s: shorter runs know their energy to more than 1 %.
constexpr double precise_energy_seconds = 10;

/// Clocks move in steps of 15 MHz: less is no difference.
constexpr double noted_share = 0.01;

using Figure = std::optional<double> TelemetrySummary::*;

std::vector<RankDetail> ranks_with_gpus(const Point& point) {
    std::vector<RankDetail> ranks;
    std::copy_if(point.ranks_detail.begin(),
                 point.ranks_detail.end(),
                 std::back_inserter(ranks),
                 [](const RankDetail& rank) { return rank.gpu.has_value(); });
    return ranks;
}

/// Mean over the ranks that have the figure.
std::optional<double> mean_of(const std::vector<RankDetail>& ranks, Figure figure) {
    double sum = 0;
    double count = 0;
    for (const RankDetail& rank : ranks) {
        if (const std::optional<double>& value = (*rank.gpu).*figure) {
            sum += *value;
            count += 1;
        }
    }
    return count > 0 ? std::optional{sum / count} : std::nullopt;
}

std::optional<double> most_of(const std::vector<RankDetail>& ranks, Figure figure) {
    std::optional<double> most;
    for (const RankDetail& rank : ranks) {
        most = std::max(most, (*rank.gpu).*figure);  // an empty one is the least
    }
    return most;
}

std::string figure_text(const std::optional<double>& value) {
    return value ? fmt::format("{:.0f}", *value) : "unknown";
}

std::string share_text(const std::optional<double>& value, const std::optional<double>& whole) {
    return value && whole && *whole > 0 ? percent(*value / *whole, 1) : "unknown";
}

std::string slowdown_text(const TelemetrySummary& gpu) {
    std::string text;
    for (const SlowdownShare& slowdown : gpu.slowdowns) {
        if (slowdown.share >= noted_share) {
            text += fmt::format(
                "{}{} {}", text.empty() ? "" : ", ", slowdown.reason, percent(slowdown.share, 0));
        }
    }
    return text.empty() ? "nothing" : text;
}

/// Held back by heat or by the supply. A power cap is how a GPU works at full load.
bool is_throttled(const TelemetrySummary& gpu) {
    return std::any_of(
        gpu.slowdowns.begin(), gpu.slowdowns.end(), [](const SlowdownShare& slowdown) {
            return slowdown.share >= noted_share && slowdown.reason != "power cap" &&
                   slowdown.reason != "application clocks";
        });
}

Table points_table(const Study& study) {
    Table table{.caption = "Per point",
                .columns = {{"Ranks"},
                            {"Energy, J"},
                            {"Energy per token, J"},
                            {"Power per GPU, W"},
                            {"SM clock, MHz"},
                            {"of the maximum"},
                            {"Hottest, °C"}},
                .rows = {}};
    for (const Point& point : study.points) {
        const std::vector<RankDetail> ranks = ranks_with_gpus(point);
        if (ranks.empty()) {
            continue;
        }
        const auto clock = mean_of(ranks, &TelemetrySummary::mean_sm_clock_mhz);
        table.rows.push_back(
            {{grouped(point.ranks)},
             {point.energy_joules ? grouped(*point.energy_joules) : "unknown"},
             {point.joules_per_token ? fmt::format("{:.4g}", *point.joules_per_token) : "unknown"},
             {figure_text(mean_of(ranks, &TelemetrySummary::mean_power_watts))},
             {figure_text(clock)},
             {share_text(clock, mean_of(ranks, &TelemetrySummary::sm_clock_limit_mhz))},
             {figure_text(most_of(ranks, &TelemetrySummary::max_temperature_c))}});
    }
    return table;
}

Table gpus_table(const Point& point) {
    std::vector<RankDetail> ranks = ranks_with_gpus(point);
    std::string caption = fmt::format("GPUs of the {}-rank point", grouped(point.ranks));
    if (ranks.size() > listed_gpus) {
        std::stable_sort(ranks.begin(), ranks.end(), [](const RankDetail& a, const RankDetail& b) {
            return a.gpu->mean_sm_clock_mhz < b.gpu->mean_sm_clock_mhz;
        });
        ranks.resize(listed_gpus);
        caption += fmt::format(": those with the lowest clocks, {} in all", listed_gpus);
    }
    Table table{.caption = std::move(caption),
                .columns = {{"Rank"},
                            {"Host", Align::left},
                            {"SM clock, MHz"},
                            {"least"},
                            {"of the maximum"},
                            {"Power, W"},
                            {"Limit, W"},
                            {"Hottest, °C"},
                            {"Slowed down by", Align::left}},
                .rows = {}};
    for (const RankDetail& rank : ranks) {
        const TelemetrySummary& gpu = *rank.gpu;
        table.rows.push_back({{grouped(rank.rank)},
                              {rank.host},
                              {figure_text(gpu.mean_sm_clock_mhz)},
                              {figure_text(gpu.min_sm_clock_mhz)},
                              {share_text(gpu.mean_sm_clock_mhz, gpu.sm_clock_limit_mhz)},
                              {figure_text(gpu.mean_power_watts)},
                              {figure_text(gpu.power_limit_watts)},
                              {figure_text(gpu.max_temperature_c)},
                              {.text = slowdown_text(gpu), .alarm = is_throttled(gpu)}});
    }
    return table;
}

std::string throttled_text(const Point& point) {
    std::string text;
    for (const RankDetail& rank : ranks_with_gpus(point)) {
        if (is_throttled(*rank.gpu)) {
            text += fmt::format("{}rank {} on {} ({})",
                                text.empty() ? "" : "; ",
                                rank.rank,
                                rank.host,
                                slowdown_text(*rank.gpu));
        }
    }
    return text.empty() ? "No GPU was throttled." : fmt::format("Throttled: {}.", text);
}

bool is_precise(const Point& point) {
    return std::all_of(
        point.ranks_detail.begin(), point.ranks_detail.end(), [](const RankDetail& rank) {
            return !rank.gpu || rank.gpu->seconds >= precise_energy_seconds;
        });
}

Table devices_table(const EnvironmentInfo& environment) {
    Table table{.caption = "GPUs",
                .columns = {{"Host", Align::left},
                            {"GPU", Align::left},
                            {"Architecture", Align::left},
                            {"Memory"},
                            {"UUID", Align::left}},
                .rows = {}};
    for (const GpuInfo& device : environment.devices) {
        table.rows.push_back({{device.host},
                              {device.name},
                              {fmt::format("sm_{}", device.capability)},
                              {format_bytes(Bytes{device.memory_bytes})},
                              {device.uuid}});
    }
    return table;
}

Table libraries_table(const EnvironmentInfo& environment) {
    Table table{.caption = "GPU libraries",
                .columns = {{"Library", Align::left}, {"Version", Align::left}},
                .rows = {}};
    for (const auto& [name, found] : environment.gpu_libraries) {
        table.rows.push_back({{name}, {found}});
    }
    return table;
}

}  // namespace

std::optional<Section> gpu_section(const Study& study) {
    const Point& point = study.points.back();
    Table points = points_table(study);
    if (points.rows.empty()) {
        return std::nullopt;
    }
    Section section{.id = "gpus", .title = "Clocks, power, energy", .contents = {}};
    section.contents.emplace_back(std::move(points));
    if (!ranks_with_gpus(point).empty()) {
        section.contents.emplace_back(Paragraph{throttled_text(point)});
        section.contents.emplace_back(Figures{{"rank_clocks"}});
        section.contents.emplace_back(gpus_table(point));
    }
    section.contents.emplace_back(
        Paragraph{"Read during the measured steps. Energy is the difference of each GPU's own "
                  "counter; power is the mean of what the driver reports, which is itself a mean "
                  "over about a second. The host's share is in neither."});
    if (!std::all_of(study.points.begin(), study.points.end(), is_precise)) {
        section.contents.emplace_back(
            Paragraph{"Some points were measured for less than 10 s: the counters move on about "
                      "every 0.1 s, so that their energy is uncertain by more than 1 %."});
    }
    return section;
}

std::vector<Content> gpu_environment(const EnvironmentInfo& environment) {
    std::vector<Content> contents;
    if (!environment.devices.empty()) {
        contents.emplace_back(devices_table(environment));
    }
    if (!environment.gpu_libraries.empty()) {
        contents.emplace_back(libraries_table(environment));
    }
    if (!environment.nccl.empty()) {
        contents.emplace_back(Paragraph{"NCCL about the network it chose:"});
        contents.emplace_back(Preformatted{fmt::format("{}", fmt::join(environment.nccl, "\n"))});
    }
    return contents;
}

}  // namespace traindyno
