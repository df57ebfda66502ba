// SPDX-License-Identifier: Apache-2.0
#include "emulator/cli/show_program.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "emulator/base/quantity_text.hpp"

namespace traindyno {

namespace {

std::string name_of(const Pass& pass, const Pipeline& pipeline) {
    constexpr std::string_view letters = "FBW";
    std::string name = fmt::format(
        "{}{}", letters[static_cast<std::size_t>(pass.direction)], pass.visit.micro_batch);
    return pipeline.chunks > 1 ? fmt::format("{}.{}", name, pass.visit.chunk) : name;
}

/// Seconds per character: the shortest pass has room for the longest name and a space.
double seconds_per_character(const PassTimeline& timeline) {
    std::size_t longest = 0;
    double shortest = to_seconds(timeline.end);
    for (const std::vector<TimedPass>& passes : timeline.stages) {
        for (const TimedPass& pass : passes) {
            longest = std::max(longest, name_of(pass.pass, timeline.pipeline).size());
            shortest = std::min(shortest, to_seconds(pass.end - pass.begin));
        }
    }
    return shortest / static_cast<double>(longest + 1);
}

std::string row_of(const std::vector<TimedPass>& passes,
                   const Pipeline& pipeline,
                   double per_character) {
    const auto column = [&](SimTime time) {
        return static_cast<std::size_t>(std::lround(to_seconds(time) / per_character));
    };
    std::string row;
    for (const TimedPass& pass : passes) {
        row.resize(std::max(row.size(), column(pass.begin)), '.');
        std::string text = name_of(pass.pass, pipeline);
        const std::size_t end = column(pass.end);
        const std::size_t last = end > row.size() ? end - row.size() : 1;
        text.resize(std::max(text.size(), last - 1), '-');
        row += text + ' ';
    }
    return row;
}

std::string seconds_text(double seconds, const std::string& time_unit) {
    return time_unit.empty() ? fmt::format("{:.6g}", seconds) : format_seconds(seconds);
}

}  // namespace

std::string grid_text(const PassTimeline& timeline) {
    const double per_character = seconds_per_character(timeline);
    std::string text;
    for (std::size_t stage = 0; stage < timeline.stages.size(); ++stage) {
        std::string row = row_of(timeline.stages[stage], timeline.pipeline, per_character);
        row.erase(row.find_last_not_of(' ') + 1);
        text += fmt::format("stage {:<3} {}\n", stage, row);
    }
    return text;
}

std::string bubble_text(const PassTimeline& timeline, const std::string& time_unit) {
    const PassTimes times = timeline.mean_times();
    const double idle = timeline.mean_idle_seconds();
    const double formula = bubble(timeline.pipeline, times);
    const double busy = to_seconds(timeline.end) - idle;
    std::string passes = fmt::format("F {}, B {}",
                                     seconds_text(times.forward, time_unit),
                                     seconds_text(times.backward, time_unit));
    if (times.weights > 0) {
        passes += fmt::format(", W {}", seconds_text(times.weights, time_unit));
    }
    return fmt::format(
        "One micro-batch in the average stage: {}\n"
        "Bubble: {} of the program, {} by the formula {}\n"
        "Step without traffic and optimizer: {}, of which the bubble is {:.1f} %\n",
        passes,
        seconds_text(idle, time_unit),
        seconds_text(formula, time_unit),
        bubble_formula(timeline.pipeline.schedule),
        seconds_text(busy + idle, time_unit),
        100 * idle / (busy + idle));
}

}  // namespace traindyno
