// SPDX-License-Identifier: Apache-2.0
// The chart of GPU clocks.
#include <algorithm>

#include <fmt/format.h>

#include "emulator/report/charts.hpp"
#include "emulator/report/palette.hpp"

namespace traindyno {

namespace {

std::string csv_field(const std::optional<double>& value) {
    return value ? fmt::format("{:.6g}", *value) : "";
}

/// gnuplot ends in an error when there is nothing to draw.
bool has_clocks(const Point& point) {
    return std::any_of(
        point.ranks_detail.begin(), point.ranks_detail.end(), [](const RankDetail& rank) {
            return rank.gpu && rank.gpu->mean_sm_clock_mhz && rank.gpu->sm_clock_limit_mhz;
        });
}

}  // namespace

std::optional<Chart> clocks_chart(const Point& point) {
    if (!has_clocks(point)) {
        return std::nullopt;
    }
    Chart chart{.name = "rank_clocks",
                .title = "SM clock per rank",
                .caption =
                    "Mean during the measured steps, largest point. Dashed: the most that "
                    "the GPU can do.",
                .csv = "rank,mean_mhz,least_mhz,limit_mhz,watts,celsius,joules\n",
                .script = detail::script_head("rank_clocks")};
    for (const RankDetail& rank : point.ranks_detail) {
        if (rank.gpu) {
            const TelemetrySummary& gpu = *rank.gpu;
            chart.csv += fmt::format("{},{},{},{},{},{},{}\n",
                                     rank.rank,
                                     csv_field(gpu.mean_sm_clock_mhz),
                                     csv_field(gpu.min_sm_clock_mhz),
                                     csv_field(gpu.sm_clock_limit_mhz),
                                     csv_field(gpu.mean_power_watts),
                                     csv_field(gpu.max_temperature_c),
                                     csv_field(gpu.energy_joules));
        }
    }
    chart.script += fmt::format(
        "set xlabel \"rank\"\nset ylabel \"MHz\"\nset yrange [0:*]\nunset key\n"
        "set xrange [-0.8:{2}]\n"
        "plot \"rank_clocks.csv\" skip 1 using 1:2 with boxes linecolor rgb \"{0}\", \\\n"
        "  \"\" skip 1 using ($1-0.4):4:(0.8):(0) with vectors nohead dashtype 2 linewidth 1.5 "
        "linecolor rgb \"{1}\"\n",
        measured_colour,
        ideal_colour,
        static_cast<double>(point.ranks) - 0.2);
    return chart;
}

}  // namespace traindyno
