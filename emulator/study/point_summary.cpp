// SPDX-License-Identifier: Apache-2.0
#include "emulator/study/point_summary.hpp"

#include <algorithm>

#include "emulator/base/error.hpp"
#include "emulator/program/build.hpp"
#include "emulator/program/flops.hpp"
#include "emulator/program/memory.hpp"
#include "emulator/program/stage_layers.hpp"
#include "emulator/study/statistics.hpp"

namespace traindyno {

namespace {

double compute_seconds(const Budget& budget) {
    return budget[Category::compute_forward] + budget[Category::compute_backward] +
           budget[Category::compute_recompute] + budget[Category::compute_optimizer] +
           budget[Category::compute_slowdown];
}

Budget mean_budget(const std::vector<Budget>& budgets) {
    Budget sum;
    for (const Budget& budget : budgets) {
        sum = sum + budget;
    }
    return budgets.empty() ? sum : sum * (1.0 / static_cast<double>(budgets.size()));
}

/// How much of a stage's backward its weight gradients are, by FLOPs; 0 where the schedule does not
/// split it.
double weights_share(const PointPlan& plan) {
    if (plan.setup.schedule != Schedule::zero_bubble) {
        return 0;
    }
    Flops weights;
    Flops backward;
    for (std::int64_t stage = 0; stage < plan.layout.pp; ++stage) {
        const StepProgram program =
            build_step(plan.model, plan.layout, plan.setup, rank_at(plan.layout, {.pp = stage}));
        weights += executed_flops(program, Phase::weights);
        backward += executed_flops(program, Phase::backward);
    }
    return weights.value() / (weights + backward).value();
}

/// One micro-batch on the average stage of `rank`'s pipeline.
PassTimes mean_pass_times(const PointPlan& plan,
                          WorldRank rank,
                          double weights_share,
                          const std::vector<Budget>& rank_budgets) {
    PassTimes sum;
    const Group pipeline = group_of(plan.layout, GroupKind::pp, rank);
    for (const WorldRank stage : pipeline.members) {
        const Budget& budget = rank_budgets[stage.index()];
        sum.forward += budget[Category::compute_forward];
        sum.backward += budget[Category::compute_backward] + budget[Category::compute_recompute];
    }
    const auto runs = static_cast<double>(pipeline.size() * micro_batches(plan.layout, plan.setup));
    return {.forward = sum.forward / runs,
            .backward = sum.backward * (1 - weights_share) / runs,
            .weights = sum.backward * weights_share / runs};
}

/// Mean budget of each rank, with the pipeline's own bubble split off.
std::vector<Budget> rank_budgets(const PointPlan& plan, const std::vector<RankRecord>& records) {
    std::vector<Budget> means;
    means.reserve(records.size());
    for (const RankRecord& record : records) {
        means.push_back(mean_budget(record.samples.budgets));
    }
    const Pipeline pipeline = pipeline_of(plan.layout, plan.setup);
    const double share = weights_share(plan);
    std::vector<Budget> split;
    split.reserve(records.size());
    for (std::size_t r = 0; r < means.size(); ++r) {
        const WorldRank rank{static_cast<std::int64_t>(r)};
        split.push_back(
            split_bubble(means[r], bubble(pipeline, mean_pass_times(plan, rank, share, means))));
    }
    return split;
}

std::vector<double> mean_step_of_ranks(const std::vector<RankRecord>& records) {
    std::vector<double> samples(records.front().samples.step_seconds.size());
    for (const RankRecord& record : records) {
        TD_EXPECT(record.samples.step_seconds.size() == samples.size());
        for (std::size_t i = 0; i < samples.size(); ++i) {
            samples[i] += record.samples.step_seconds[i] / static_cast<double>(records.size());
        }
    }
    return samples;
}

void add_budgets(Point& point, const std::vector<Budget>& budgets) {
    point.budget = mean_budget(budgets);
    point.slowest_rank_budget =
        *std::max_element(budgets.begin(), budgets.end(), [](const Budget& a, const Budget& b) {
            return compute_seconds(a) < compute_seconds(b);
        });
    for (std::size_t c = 0; c < enum_count<Category>; ++c) {
        const auto [low, high] = std::minmax_element(
            budgets.begin(), budgets.end(), [c](const Budget& a, const Budget& b) {
                return a.seconds[c] < b.seconds[c];
            });
        point.budget_spread.seconds[c] = high->seconds[c] - low->seconds[c];
    }
}

/// nccl-tests, doc/PERFORMANCE.md: bus bandwidth is independent of the number of ranks.
double bus_factor(TrafficKind kind, std::int64_t ranks) {
    const double others = static_cast<double>(ranks - 1) / static_cast<double>(ranks);
    switch (kind) {
        case TrafficKind::all_reduce:
            return 2 * others;
        case TrafficKind::reduce_scatter:
        case TrafficKind::all_gather:
        case TrafficKind::all_to_all:
            return others;
        case TrafficKind::send_recv:
            break;
    }
    return 1;
}

void add_collectives(Point& point, const std::vector<RankRecord>& records) {
    std::map<TrafficKey, std::vector<TrafficTotal>> by_kind;
    std::map<TrafficKey, std::int64_t> group_size;
    for (std::size_t r = 0; r < records.size(); ++r) {
        for (const auto& [key, total] : records[r].samples.traffic) {
            by_kind[key].push_back(total);
            group_size[key] =
                group_of(point.layout, key.group, WorldRank{static_cast<std::int64_t>(r)}).size();
        }
    }
    const auto steps = static_cast<double>(point.steps);
    for (const auto& [key, totals] : by_kind) {
        TrafficTotal sum;
        for (const TrafficTotal& total : totals) {
            sum.count += total.count;
            sum.bytes += total.bytes;
            sum.seconds += total.seconds;
        }
        const double samples = steps * static_cast<double>(totals.size());
        CollectiveRow row{
            .kind = std::string(to_string(key.kind)),
            .group = std::string(to_string(key.group)),
            .algorithm = key.carrier,
            .ranks = group_size[key],
            .count = static_cast<std::int64_t>(static_cast<double>(sum.count) / samples),
            .bytes = static_cast<std::int64_t>(static_cast<double>(sum.bytes) / samples),
            .seconds = sum.seconds / samples};
        if (sum.seconds > 0) {
            row.algbw_gbs = static_cast<double>(sum.bytes) / sum.seconds * 1e-9;
            row.busbw_gbs = row.algbw_gbs * bus_factor(key.kind, row.ranks);
        }
        point.collectives.push_back(row);
    }
}

void add_ranks(Point& point,
               const std::vector<RankRecord>& records,
               const std::vector<Budget>& budgets) {
    for (std::size_t r = 0; r < records.size(); ++r) {
        const RankRecord& record = records[r];
        point.ranks_detail.push_back(
            {.rank = static_cast<std::int64_t>(r),
             .host = record.host,
             .device = record.device,
             .compute_seconds = compute_seconds(budgets[r]),
             .lateness_seconds = record.samples.lateness_seconds / static_cast<double>(point.steps),
             .step_seconds = mean(record.samples.step_seconds),
             .resident_bytes = record.resident_bytes,
             .gpu = record.samples.gpu});
    }
}

/// Ranks that share a GPU read one counter over the same steps: it counts once, as their mean.
void add_energy(Point& point, std::int64_t tokens_per_step) {
    std::map<std::string, std::vector<double>> by_gpu;
    for (const RankDetail& rank : point.ranks_detail) {
        if (!rank.gpu || !rank.gpu->energy_joules) {
            return;
        }
        by_gpu[rank.gpu->uuid].push_back(*rank.gpu->energy_joules);
    }
    double sum = 0;
    for (const auto& [uuid, energies] : by_gpu) {
        sum += mean(energies);
    }
    point.energy_joules = sum;
    point.joules_per_token = sum / static_cast<double>(point.steps * tokens_per_step);
}

/// The stage that needs most memory: ranks of one stage need the same.
std::vector<MemoryItem> largest_memory(const PointPlan& plan) {
    std::vector<MemoryItem> largest;
    for (std::int64_t stage = 0; stage < plan.layout.pp; ++stage) {
        const WorldRank rank = rank_at(plan.layout, {.pp = stage});
        auto items = memory_items(build_step(plan.model, plan.layout, plan.setup, rank));
        if (largest.empty() || total(items) > total(largest)) {
            largest = std::move(items);
        }
    }
    return largest;
}

void add_utilisation(Point& point, const PointPlan& plan, FlopRate peak) {
    const double tokens_per_rank = static_cast<double>(point.global_batch * plan.model.seq) /
                                   (point.step_seconds.mean * static_cast<double>(point.ranks));
    point.tokens_per_second = tokens_per_rank * static_cast<double>(point.ranks);
    const auto rate = [&](Flops per_token) { return per_token.value() * tokens_per_rank; };
    const double model_rate = rate(model_flops_per_token(plan.model, CausalAttention::full));
    point.tflops_per_rank = model_rate * 1e-12;
    if (peak > FlopRate{0}) {
        point.mfu = model_rate / peak.value();
        point.mfu_causal =
            rate(model_flops_per_token(plan.model, CausalAttention::half)) / peak.value();
        point.hfu = rate(hardware_flops_per_token(
                        plan.model, plan.setup.recompute, CausalAttention::full)) /
                    peak.value();
    }
}

}  // namespace

Point summarize_point(const PointPlan& plan,
                      std::int64_t nodes,
                      const std::vector<RankRecord>& records) {
    TD_EXPECT(static_cast<std::int64_t>(records.size()) == plan.layout.ranks());
    const RankRecord& first = records.front();
    Point point;
    point.ranks = plan.layout.ranks();
    point.nodes = nodes;
    point.layout = plan.layout;
    point.global_batch = plan.setup.global_batch;
    point.micro_batches = micro_batches(plan.layout, plan.setup);
    point.steps = static_cast<std::int64_t>(first.samples.step_seconds.size());
    point.warmup_steps = first.samples.warmup_steps;
    point.verdict = first.samples.verdict;
    point.step_seconds = summarize(mean_step_of_ranks(records));
    add_utilisation(point, plan, first.peak);
    const std::vector<Budget> budgets = rank_budgets(plan, records);
    add_budgets(point, budgets);
    add_collectives(point, records);
    add_ranks(point, records, budgets);
    add_energy(point, point.global_batch * plan.model.seq);
    point.memory = largest_memory(plan);
    double removed = 0;
    for (const RankRecord& record : records) {
        removed += record.samples.removed_step_seconds / static_cast<double>(records.size());
        point.reduced_values_checked += record.checks.checked;
        point.reduced_values_wrong += record.checks.wrong;
    }
    point.exposed_by_removal = removed > 0 ? point.step_seconds.mean - removed : 0;
    return point;
}

}  // namespace traindyno
