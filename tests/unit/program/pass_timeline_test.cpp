// SPDX-License-Identifier: Apache-2.0
// Schedules executed in time: their bubble is that of the papers.
#include "emulator/program/pass_timeline.hpp"

#include <gtest/gtest.h>

#include "tests/unit/program/pipeline_cases.hpp"

namespace traindyno {

namespace {

std::vector<std::int64_t> up_to(std::int64_t last) {
    std::vector<std::int64_t> counts;
    for (std::int64_t count = 1; count <= last; ++count) {
        counts.push_back(count);
    }
    return counts;
}

Case pipeline_case(Schedule schedule, std::int64_t p, std::int64_t m, std::int64_t v = 1) {
    Case at{.model = small_gpt(p * v), .layout = {.pp = p}, .setup = setup_of({}, m)};
    at.setup.schedule = schedule;
    at.setup.virtual_stages = v;
    return at;
}

PassTimeline timeline_of(const Case& at, const OpTime& op_time = {}) {
    return pass_timeline(at.model, at.layout, at.setup, op_time);
}

/// Products for weights' gradients take `weights` ns, the other operation counted `others`: one per
/// pass, since a layer's backward has one attention and its weight gradients one product of qkv.
OpTime with_times(SimTime forward, SimTime backward, SimTime weights, std::int64_t qkv_width) {
    return [=](const ComputeOp& op) {
        if (std::holds_alternative<AttentionForward>(op)) {
            return forward;
        }
        if (std::holds_alternative<AttentionBackward>(op)) {
            return backward;
        }
        const auto* product = std::get_if<MatMul>(&op);
        const bool of_qkv_weights =
            product != nullptr && product->m == qkv_width && product->accumulate == Accumulate::yes;
        return of_qkv_weights ? weights : SimTime{0};
    };
}

}  // namespace

TEST(PassTimeline, idles_in_unit_time_as_the_formula_says) {
    for (const Case& at : pipeline_cases(up_to(8), up_to(24), 4)) {
        if (at.setup.overlap_p2p == Overlap::off) {
            continue;
        }
        const PassTimeline timeline = timeline_of(at);
        const auto v = static_cast<double>(at.setup.virtual_stages);
        const PassTimes times{.forward = v,
                              .backward = v,
                              .weights = at.setup.schedule == Schedule::zero_bubble ? 1.0 : 0.0};
        const double wanted = bubble(timeline.pipeline, times);
        for (std::size_t stage = 0; stage < timeline.stages.size(); ++stage) {
            ASSERT_DOUBLE_EQ(to_seconds(timeline.idle(stage)), wanted)
                << at.text() << " chunks " << v << " stage " << stage;
        }
        EXPECT_DOUBLE_EQ(timeline.mean_times().forward, times.forward);
        EXPECT_DOUBLE_EQ(timeline.mean_times().backward, times.backward);
        EXPECT_DOUBLE_EQ(timeline.mean_times().weights, times.weights);
    }
}

TEST(PassTimeline, idles_as_the_formula_says_for_passes_of_unequal_length) {
    constexpr SimTime forward{4};
    constexpr SimTime backward{5};
    constexpr SimTime weights{3};
    const std::int64_t qkv_width = 3 * small_gpt(1).hidden;
    for (std::int64_t p = 1; p <= 6; ++p) {
        for (std::int64_t m = 1; m <= 12; ++m) {
            for (const Schedule schedule :
                 {Schedule::gpipe, Schedule::one_f_one_b, Schedule::zero_bubble}) {
                const Case at = pipeline_case(schedule, p, m);
                const PassTimeline timeline =
                    timeline_of(at, with_times(forward, backward, weights, qkv_width));
                EXPECT_NEAR(timeline.mean_idle_seconds(),
                            bubble(timeline.pipeline, timeline.mean_times()),
                            1e-12)
                    << at.text();
            }
            if (m % p == 0 && p > 1) {
                const Case at = pipeline_case(Schedule::interleaved, p, m, 3);
                const PassTimeline timeline =
                    timeline_of(at, with_times(forward, backward, SimTime{0}, qkv_width));
                EXPECT_NEAR(timeline.mean_idle_seconds(),
                            bubble(timeline.pipeline, timeline.mean_times()),
                            1e-12)
                    << at.text();
            }
        }
    }
}

// Narayanan et al., SC'21, figure 4, above: 1F1B of four stages. The first backward of stage 0
// begins when micro-batch 0 has gone to the last stage and back; the last stage never waits once it
// has begun.
TEST(PassTimeline, one_f_one_b_runs_as_published) {
    const PassTimeline timeline = timeline_of(pipeline_case(Schedule::one_f_one_b, 4, 8));
    const auto second = [](std::int64_t count) { return SimTime{std::chrono::seconds{count}}; };
    EXPECT_EQ(timeline.end, second(2 * 8 + 2 * 3));
    EXPECT_EQ(timeline.stages[0][4].pass.direction, Direction::backward);
    EXPECT_EQ(timeline.stages[0][4].begin, second(4 + 3));
    EXPECT_EQ(timeline.stages[3].front().begin, second(3));
    EXPECT_EQ(timeline.stages[3].back().end, second(3 + 2 * 8));
}

}  // namespace traindyno
