// SPDX-License-Identifier: Apache-2.0
// The pipeline schedule of a study as a picture: stages over time.
#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "emulator/report/charts.hpp"
#include "emulator/report/palette.hpp"
#include "emulator/report/pipeline.hpp"

namespace traindyno {

namespace {

/// Micro-batches drawn per stage: the start and the end of the step, and something in between.
constexpr std::int64_t drawn_per_stage = 2;

/// Longer schedules have passes too narrow for names.
constexpr double most_named = 44;

std::string_view colour_of(Direction direction) {
    switch (direction) {
        case Direction::forward:
            return look_of(Category::compute_forward).colour;
        case Direction::backward:
            return look_of(Category::compute_backward).colour;
        case Direction::weights:
            break;
    }
    return look_of(Category::compute_optimizer).colour;
}

std::string rows_of(const PassTimeline& timeline) {
    std::string rows = "stage,begin,end,direction,micro_batch,chunk\n";
    for (std::size_t stage = 0; stage < timeline.stages.size(); ++stage) {
        for (const TimedPass& pass : timeline.stages[stage]) {
            rows += fmt::format("{},{},{},{},{},{}\n",
                                stage,
                                to_seconds(pass.begin),
                                to_seconds(pass.end),
                                to_string(pass.pass.direction),
                                pass.pass.visit.micro_batch,
                                pass.pass.visit.chunk);
        }
    }
    return rows;
}

std::string boxes_of(const PassTimeline& timeline) {
    const bool splits = timeline.pipeline.schedule == Schedule::zero_bubble;
    std::string plot;
    for (std::size_t i = 0; i < enum_count<Direction>; ++i) {
        const auto direction = static_cast<Direction>(i);
        if (direction == Direction::weights && !splits) {
            continue;
        }
        // Chunks are told apart by their shade.
        for (std::int64_t chunk = 0; chunk < timeline.pipeline.chunks; ++chunk) {
            plot += fmt::format(
                "{} skip 1 using (strcol(4) eq \"{}\" && $6 == {} ? ($2+$3)/2 : NaN):1:(($3-$2)/2):"
                "(0.4) with boxxyerror fillcolor rgb \"{}\" fillstyle solid {:.2f} {}",
                plot.empty() ? "plot \"schedule.csv\"" : ", \\\n  \"\"",
                to_string(direction),
                chunk,
                colour_of(direction),
                1 - 0.6 * static_cast<double>(chunk) /
                        static_cast<double>(timeline.pipeline.chunks),
                chunk == 0 ? fmt::format("title \"{}\"", to_string(direction)) : "notitle");
        }
    }
    return plot;
}

}  // namespace

std::optional<DrawnPipeline> drawn_pipeline(const Study& study) {
    const auto point = std::find_if(
        study.points.rbegin(), study.points.rend(), [](const Point& p) { return p.layout.pp > 1; });
    if (point == study.points.rend()) {
        return std::nullopt;
    }
    TrainingSetup setup = study.setup;
    const std::int64_t drawn = std::min(point->micro_batches, drawn_per_stage * point->layout.pp);
    setup.global_batch = drawn * setup.micro_batch * point->layout.dp;
    if (!problems_of(study.model, point->layout, setup).empty()) {
        return std::nullopt;
    }
    return DrawnPipeline{.timeline = pass_timeline(study.model, point->layout, setup),
                         .micro_batches = point->micro_batches};
}

Chart schedule_chart(const DrawnPipeline& drawn) {
    const PassTimeline& timeline = drawn.timeline;
    const Pipeline& pipeline = timeline.pipeline;
    const double units = to_seconds(timeline.end);
    Chart chart{
        .name = "schedule",
        .title = "Pipeline schedule",
        .caption = fmt::format(
            "{} over {} stages{}, {} of {} micro-batches, as if every pass took one unit of time.",
            to_string(pipeline.schedule),
            pipeline.stages,
            pipeline.chunks > 1 ? fmt::format(" of {} chunks (paler: later)", pipeline.chunks) : "",
            pipeline.micro_batches,
            drawn.micro_batches),
        .csv = rows_of(timeline),
        .script =
            detail::script_head("schedule", 140 + 24 * static_cast<std::size_t>(pipeline.stages))};
    chart.script += fmt::format(
        "unset grid\nset ylabel \"stage\"\nset ytics 1\nset xlabel \"passes\"\n"
        "set yrange [{}:-0.5]\nset xrange [0:{}]\n{}",
        static_cast<double>(pipeline.stages) - 0.5,
        units,
        boxes_of(timeline));
    if (units <= most_named) {
        chart.script += ", \\\n  \"\" skip 1 using (($2+$3)/2):1:5 with labels font \",9\" notitle";
    }
    chart.script += "\n";
    return chart;
}

}  // namespace traindyno
