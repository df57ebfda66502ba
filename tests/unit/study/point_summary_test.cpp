// SPDX-License-Identifier: Apache-2.0
#include "emulator/study/point_summary.hpp"

#include <gtest/gtest.h>

#include "emulator/program/flops.hpp"

namespace traindyno {
namespace {

Model tiny_model() {
    return {.name = "tiny",
            .layers = 4,
            .hidden = 64,
            .heads = 4,
            .kv_heads = 4,
            .head_size = 16,
            .ffn = 256,
            .seq = 32,
            .vocab = 100};
}

PointPlan plan_for(const Layout& layout, std::int64_t global_batch) {
    PointPlan plan{.model = tiny_model(), .layout = layout, .setup = {}};
    plan.setup.global_batch = global_batch;
    return plan;
}

/// A rank with `steps` steps of `seconds` each, of which `compute` in forward and the rest waiting
/// for `kind`.
RankRecord record(std::size_t steps, double seconds, double compute, GroupKind kind) {
    RankRecord rank;
    rank.host = "node-a";
    rank.device = "test";
    rank.samples.step_seconds.assign(steps, seconds);
    Budget budget;
    budget[Category::compute_forward] = compute;
    budget[wait(kind)] = seconds - compute;
    rank.samples.budgets.assign(steps, budget);
    return rank;
}

TelemetrySummary on_gpu(const std::string& uuid, double energy_joules) {
    return {.uuid = uuid, .seconds = 2, .samples = 40, .energy_joules = energy_joules};
}

TEST(PointSummary, budget_adds_up_to_the_mean_step) {
    const Point point =
        summarize_point(plan_for({.dp = 2}, 2),
                        1,
                        {record(4, 2.0, 1.5, GroupKind::dp), record(4, 2.0, 1.9, GroupKind::dp)});
    EXPECT_DOUBLE_EQ(point.step_seconds.mean, 2.0);
    EXPECT_DOUBLE_EQ(point.budget.total(), point.step_seconds.mean);
    EXPECT_DOUBLE_EQ(point.budget[Category::compute_forward], (1.5 + 1.9) / 2);
    EXPECT_DOUBLE_EQ(point.slowest_rank_budget[Category::compute_forward], 1.9);
    EXPECT_NEAR(point.budget_spread[Category::compute_forward], 0.4, 1e-12);
}

TEST(PointSummary, splits_the_bubble_by_the_mean_stage) {
    // Two stages, 4 micro-batches: (2 - 1) * ((0.8 + 0.4) / 2) / 4 = 0.15 s of bubble on each rank.
    const Point point =
        summarize_point(plan_for({.pp = 2}, 4),
                        1,
                        {record(3, 1.0, 0.8, GroupKind::pp), record(3, 1.0, 0.4, GroupKind::pp)});
    EXPECT_EQ(point.micro_batches, 4);
    EXPECT_NEAR(point.budget[Category::bubble], 0.15, 1e-12);
    EXPECT_NEAR(point.budget[wait(GroupKind::pp)], (0.2 + 0.6) / 2 - 0.15, 1e-12);
    EXPECT_NEAR(point.budget.total(), 1.0, 1e-12);
}

TEST(PointSummary, interleaving_divides_the_bubble_by_the_chunks) {
    PointPlan plan = plan_for({.pp = 2}, 4);
    plan.setup.schedule = Schedule::interleaved;
    plan.setup.virtual_stages = 2;
    const Point point = summarize_point(
        plan, 1, {record(3, 1.0, 0.8, GroupKind::pp), record(3, 1.0, 0.4, GroupKind::pp)});
    EXPECT_NEAR(point.budget[Category::bubble], 0.15 / 2, 1e-12);
}

TEST(PointSummary, counts_tokens_and_model_flops) {
    const PointPlan plan = plan_for({.dp = 2}, 6);
    RankRecord rank = record(2, 0.5, 0.5, GroupKind::dp);
    rank.peak = FlopRate{1e9};
    const Point point = summarize_point(plan, 1, {rank, rank});
    const double tokens_per_second = 6 * 32 / 0.5;
    EXPECT_DOUBLE_EQ(point.tokens_per_second, tokens_per_second);
    const double rate =
        model_flops_per_token(plan.model, CausalAttention::full).value() * tokens_per_second / 2;
    EXPECT_DOUBLE_EQ(point.tflops_per_rank, rate * 1e-12);
    ASSERT_TRUE(point.mfu.has_value());
    EXPECT_DOUBLE_EQ(*point.mfu, rate / 1e9);
    EXPECT_DOUBLE_EQ(*point.hfu, *point.mfu);  // nothing is recomputed
    EXPECT_LT(*point.mfu_causal, *point.mfu);
}

TEST(PointSummary, has_no_utilisation_without_a_peak) {
    const RankRecord rank = record(2, 0.5, 0.5, GroupKind::dp);
    EXPECT_FALSE(summarize_point(plan_for({}, 1), 1, {rank}).mfu.has_value());
}

TEST(PointSummary, derives_bus_bandwidth_as_nccl_tests_do) {
    RankRecord rank = record(2, 1.0, 1.0, GroupKind::dp);
    rank.samples.traffic[{GroupKind::dp, TrafficKind::all_reduce}] = {
        .count = 6, .bytes = 8'000'000'000, .seconds = 4};
    const Point point = summarize_point(plan_for({.dp = 4}, 4), 1, {rank, rank, rank, rank});
    ASSERT_EQ(point.collectives.size(), 1U);
    const CollectiveRow& row = point.collectives.front();
    EXPECT_EQ(row.ranks, 4);
    EXPECT_EQ(row.count, 3);
    EXPECT_EQ(row.bytes, 4'000'000'000);
    EXPECT_DOUBLE_EQ(row.seconds, 2);
    EXPECT_DOUBLE_EQ(row.algbw_gbs, 2);
    EXPECT_DOUBLE_EQ(row.busbw_gbs, 2 * 2 * 3.0 / 4);
}

TEST(PointSummary, has_a_row_for_each_carrier) {
    RankRecord rank = record(2, 1.0, 1.0, GroupKind::dp);
    for (const char* carrier : {"ring", "shm"}) {
        rank.samples.traffic[{.group = GroupKind::dp, .carrier = carrier}] = {
            .count = 2, .bytes = 8, .seconds = 1};
    }
    const Point point = summarize_point(plan_for({.dp = 2}, 2), 1, {rank, rank});
    ASSERT_EQ(point.collectives.size(), 2U);
    EXPECT_EQ(point.collectives[0].algorithm, "ring");
    EXPECT_EQ(point.collectives[1].algorithm, "shm");
}

TEST(PointSummary, exposes_by_removal_what_the_step_takes_longer) {
    RankRecord rank = record(2, 1.0, 0.7, GroupKind::dp);
    rank.samples.removed_step_seconds = 0.75;
    EXPECT_DOUBLE_EQ(summarize_point(plan_for({.dp = 2}, 2), 1, {rank, rank}).exposed_by_removal,
                     0.25);
}

TEST(PointSummary, adds_up_the_energy_of_all_gpus) {
    RankRecord rank = record(4, 0.5, 0.5, GroupKind::dp);
    rank.samples.gpu = on_gpu("GPU-0", 800);
    RankRecord other = rank;
    other.samples.gpu = on_gpu("GPU-1", 1000);
    const Point point = summarize_point(plan_for({.dp = 2}, 6), 1, {rank, other});
    EXPECT_EQ(point.energy_joules, 1800);
    EXPECT_EQ(point.joules_per_token, 1800.0 / (4 * 6 * 32));
    EXPECT_EQ(point.ranks_detail[1].gpu, other.samples.gpu);
}

TEST(PointSummary, counts_the_energy_of_a_shared_gpu_once) {
    RankRecord rank = record(4, 0.5, 0.5, GroupKind::dp);
    rank.samples.gpu = on_gpu("GPU-0", 800);
    RankRecord neighbour = rank;
    neighbour.samples.gpu = on_gpu("GPU-0", 810);
    EXPECT_EQ(summarize_point(plan_for({.dp = 2}, 6), 1, {rank, neighbour}).energy_joules, 805);
}

TEST(PointSummary, has_no_energy_when_a_rank_has_none) {
    RankRecord rank = record(4, 0.5, 0.5, GroupKind::dp);
    rank.samples.gpu = on_gpu("GPU-0", 800);
    const RankRecord silent = record(4, 0.5, 0.5, GroupKind::dp);
    const Point point = summarize_point(plan_for({.dp = 2}, 6), 1, {rank, silent});
    EXPECT_FALSE(point.energy_joules.has_value());
    EXPECT_FALSE(point.joules_per_token.has_value());
    EXPECT_TRUE(point.ranks_detail[0].gpu.has_value());
}

TEST(RankRecordText, survives_the_wire) {
    RankRecord rank = record(3, 1.0, 0.7, GroupKind::tp);
    rank.resident_bytes = 12345;
    rank.peak = FlopRate{1e12};
    rank.checks = {.checked = 7, .wrong = 1};
    rank.samples.traffic[{GroupKind::pp, TrafficKind::send_recv}] = {
        .count = 1, .bytes = 2, .seconds = 3};
    rank.samples.traffic[{GroupKind::dp, TrafficKind::all_reduce, "ring"}] = {
        .count = 4, .bytes = 5, .seconds = 6};
    rank.samples.lateness_seconds = 0.1;
    rank.samples.removed_step_seconds = 0.5;
    rank.samples.warmup_steps = 9;
    rank.samples.verdict = Verdict::not_enough_samples;
    EXPECT_EQ(unpack(pack(rank)).samples, rank.samples);
    rank.samples.gpu = on_gpu("GPU-0", 1.5);
    const RankRecord copy = unpack(pack(rank));
    EXPECT_EQ(copy.host, rank.host);
    EXPECT_EQ(copy.device, rank.device);
    EXPECT_EQ(copy.peak, rank.peak);
    EXPECT_EQ(copy.resident_bytes, rank.resident_bytes);
    EXPECT_EQ(copy.checks, rank.checks);
    EXPECT_EQ(copy.samples, rank.samples);
}

}  // namespace
}  // namespace traindyno
