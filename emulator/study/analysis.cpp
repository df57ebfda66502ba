// SPDX-License-Identifier: Apache-2.0
#include "emulator/study/analysis.hpp"

#include <algorithm>
#include <map>
#include <span>
#include <utility>

#include <fmt/format.h>

#include "emulator/base/error.hpp"
#include "emulator/study/statistics.hpp"

namespace traindyno {

namespace {

/// Iglewicz and Hoaglin 1993 label modified z-scores above 3.5 as outliers.
constexpr double straggler_z = 3.5;
/// Outliers smaller than this share are real but not worth naming.
constexpr double straggler_share = 0.05;

double tokens_per_step(const Study& study, const Point& point) {
    return static_cast<double>(point.global_batch * study.model.seq);
}

double tokens_per_rank(const Study& study, const Point& point) {
    return tokens_per_step(study, point) / static_cast<double>(point.ranks);
}

/// The mean step `point` would have at N0's rate per rank.
double ideal_step(const Study& study, const Point& base, const Point& point) {
    return base.step_seconds.mean * tokens_per_rank(study, point) / tokens_per_rank(study, base);
}

void fill_rates(const Study& study, Point& point) {
    if (!point.step_seconds.samples.empty()) {
        point.step_seconds = summarize(std::move(point.step_seconds.samples));
        point.steps = static_cast<std::int64_t>(point.step_seconds.samples.size());
    }
    TD_EXPECT(point.ranks > 0 && point.step_seconds.mean > 0);
    if (point.step_seconds.median <= 0) {  // predicted: a mean and nothing else
        const double only = point.step_seconds.mean;
        point.step_seconds = summarize({only});
        point.step_seconds.samples.clear();
    }
    point.tokens_per_second = tokens_per_step(study, point) / point.step_seconds.mean;
    point.tflops_per_rank =
        study.flops_per_token * point.tokens_per_second / static_cast<double>(point.ranks) * 1e-12;
}

Budget loss_of(const Point& base, const Point& point, double ideal) {
    const double seconds = point.step_seconds.mean;
    Budget loss = (point.budget - base.budget * (ideal / base.step_seconds.mean)) * (1 / seconds);
    loss[Category::residual] = 0;
    loss[Category::residual] = 1 - point.efficiency - loss.total();
    return loss;
}

void fill_efficiency(const Study& study, const Point& base, Point& point) {
    const double ideal = ideal_step(study, base, point);
    point.efficiency = ideal / point.step_seconds.mean;
    point.efficiency_ci95 = {point.efficiency, point.efficiency};
    const bool sampled = !base.step_seconds.samples.empty() && !point.step_seconds.samples.empty();
    if (point.ranks != base.ranks && sampled) {
        const double scale = ideal / base.step_seconds.mean;
        const auto ratio = mean_ratio_ci95(base.step_seconds.samples, point.step_seconds.samples);
        point.efficiency_ci95 = {ratio[0] * scale, ratio[1] * scale};
    }
    point.loss = loss_of(base, point, ideal);
    const double ideal_rate = tokens_per_step(study, point) / ideal;
    point.time_to_train = {.tokens = gpt3_tokens,
                           .seconds = gpt3_tokens / point.tokens_per_second,
                           .ideal_seconds = gpt3_tokens / ideal_rate};
}

/// Positions in ranks_detail of ranks that run equal programs' worth of work: one pipeline stage.
std::vector<std::vector<std::size_t>> peers_by_stage(const Point& point) {
    const std::int64_t per_stage = point.layout.tp * point.layout.cp * point.layout.dp;
    std::map<std::int64_t, std::vector<std::size_t>> stages;
    for (std::size_t i = 0; i < point.ranks_detail.size(); ++i) {
        stages[point.ranks_detail[i].rank / per_stage].push_back(i);
    }
    std::vector<std::vector<std::size_t>> peers;
    peers.reserve(stages.size());
    for (auto& [stage, members] : stages) {
        peers.push_back(std::move(members));
    }
    return peers;
}

std::vector<double> gather(const Point& point,
                           std::span<const std::size_t> members,
                           double RankDetail::*field) {
    std::vector<double> values;
    values.reserve(members.size());
    for (const std::size_t member : members) {
        values.push_back(point.ranks_detail[member].*field);
    }
    return values;
}

Straggler straggler(const Point& point, const RankDetail& rank, std::string reason) {
    return {.ranks = point.ranks,
            .rank = rank.rank,
            .host = rank.host,
            .device = rank.device,
            .reason = std::move(reason)};
}

/// Scores `members` against each other and names the slow and the late among them. Lateness is
/// judged as a share of the step: its own median is often close to zero.
void judge_peers(Point& point,
                 std::span<const std::size_t> members,
                 std::vector<Straggler>& stragglers) {
    const std::vector<double> compute = gather(point, members, &RankDetail::compute_seconds);
    const std::vector<double> lateness = gather(point, members, &RankDetail::lateness_seconds);
    const std::vector<double> compute_z = robust_z_scores(compute);
    const std::vector<double> lateness_z = robust_z_scores(lateness);
    const double typical_compute = median(compute);
    const double typical_lateness = median(lateness);
    for (std::size_t i = 0; i < members.size(); ++i) {
        RankDetail& rank = point.ranks_detail[members[i]];
        rank.compute_z = compute_z[i];
        rank.lateness_z = lateness_z[i];
        const double slow = typical_compute > 0 ? compute[i] / typical_compute - 1 : 0;
        const double late = (lateness[i] - typical_lateness) / point.step_seconds.mean;
        if (compute_z[i] > straggler_z && slow > straggler_share) {
            stragglers.push_back(
                straggler(point,
                          rank,
                          fmt::format("compute {:.0f} % above the median of its peers (z = {:.1f})",
                                      100 * slow,
                                      compute_z[i])));
        } else if (lateness_z[i] > straggler_z && late > straggler_share) {
            stragglers.push_back(straggler(
                point,
                rank,
                fmt::format("arrives later than its peers by {:.0f} % of the step (z = {:.1f})",
                            100 * late,
                            lateness_z[i])));
        }
    }
}

}  // namespace

void complete(Study& study) {
    std::sort(study.points.begin(), study.points.end(), [](const Point& a, const Point& b) {
        return a.ranks < b.ranks;
    });
    study.stragglers.clear();
    for (Point& point : study.points) {
        fill_rates(study, point);
        for (const std::vector<std::size_t>& members : peers_by_stage(point)) {
            judge_peers(point, members, study.stragglers);
        }
    }
    for (Point& point : study.points) {
        fill_efficiency(study, study.points.front(), point);
    }
}

}  // namespace traindyno
