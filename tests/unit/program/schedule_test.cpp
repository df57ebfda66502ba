// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/schedule.hpp"

#include <algorithm>
#include <map>
#include <string>

#include <gtest/gtest.h>

namespace traindyno {

namespace {

/// "F0 F1 B0 B1"; with several chunks "F0.1": chunk 0, micro-batch 1.
std::string text_of(const std::vector<Pass>& passes, std::int64_t chunks = 1) {
    std::string text;
    for (const Pass& pass : passes) {
        text += text.empty() ? "" : " ";
        text += std::string("FBW").at(static_cast<std::size_t>(pass.direction));
        text += chunks > 1 ? std::to_string(pass.visit.chunk) + "." : "";
        text += std::to_string(pass.visit.micro_batch);
    }
    return text;
}

std::string text_of(const Pipeline& pipeline, std::int64_t stage) {
    return text_of(passes_of(pipeline, Stage{stage}), pipeline.chunks);
}

/// Every schedule over all depths, micro-batch counts and chunks that it can have.
std::vector<Pipeline> pipelines() {
    std::vector<Pipeline> list;
    for (std::int64_t p = 1; p <= 8; ++p) {
        for (std::int64_t m = 1; m <= 24; ++m) {
            for (const Schedule schedule :
                 {Schedule::gpipe, Schedule::one_f_one_b, Schedule::zero_bubble}) {
                list.push_back({.schedule = schedule, .micro_batches = m, .stages = p});
            }
            for (std::int64_t v = 1; v <= 4 && m % p == 0; ++v) {
                list.push_back({.schedule = Schedule::interleaved,
                                .micro_batches = m,
                                .stages = p,
                                .chunks = v});
            }
        }
    }
    return list;
}

std::string named(const Pipeline& pipeline, std::int64_t stage) {
    return std::string(to_string(pipeline.schedule)) + " m " +
           std::to_string(pipeline.micro_batches) + " stage " + std::to_string(stage) + " of " +
           std::to_string(pipeline.stages) + " chunks " + std::to_string(pipeline.chunks);
}

template <class Check>
void for_each_stage(const Check& check) {
    for (const Pipeline& pipeline : pipelines()) {
        for (std::int64_t stage = 0; stage < pipeline.stages; ++stage) {
            SCOPED_TRACE(named(pipeline, stage));
            check(pipeline, Stage{stage});
            if (testing::Test::HasFailure()) {
                return;
            }
        }
    }
}

/// Largest number of visits between a forward and the pass that ends them.
std::int64_t most_open(const std::vector<Pass>& passes, Direction last) {
    std::int64_t open = 0;
    std::int64_t most = 0;
    for (const Pass& pass : passes) {
        open += pass.direction == Direction::forward ? 1 : 0;
        most = std::max(most, open);
        open -= pass.direction == last ? 1 : 0;
    }
    EXPECT_EQ(open, 0);
    return most;
}

}  // namespace

TEST(Schedule, gpipe_runs_all_forwards_first) {
    EXPECT_EQ(text_of({.schedule = Schedule::gpipe, .micro_batches = 3, .stages = 2}, 0),
              "F0 F1 F2 B0 B1 B2");
}

TEST(Schedule, one_f_one_b_warms_up_by_the_stages_behind) {
    const Pipeline pipeline{.micro_batches = 4, .stages = 3};
    EXPECT_EQ(text_of(pipeline, 0), "F0 F1 F2 B0 F3 B1 B2 B3");
    EXPECT_EQ(text_of(pipeline, 1), "F0 F1 B0 F2 B1 F3 B2 B3");
    EXPECT_EQ(text_of(pipeline, 2), "F0 B0 F1 B1 F2 B2 F3 B3");
}

TEST(Schedule, one_f_one_b_with_fewer_micro_batches_than_stages_is_gpipe) {
    Pipeline pipeline{.micro_batches = 2, .stages = 8};
    const std::string one_f_one_b = text_of(pipeline, 0);
    pipeline.schedule = Schedule::gpipe;
    EXPECT_EQ(one_f_one_b, text_of(pipeline, 0));
}

// Narayanan et al., SC'21, figure 4, below: four devices, eight micro-batches, two chunks.
TEST(Schedule, interleaved_is_the_published_order) {
    const Pipeline pipeline{
        .schedule = Schedule::interleaved, .micro_batches = 8, .stages = 4, .chunks = 2};
    EXPECT_TRUE(text_of(pipeline, 0)
                    .starts_with("F0.0 F0.1 F0.2 F0.3 F1.0 F1.1 F1.2 F1.3 F0.4 F0.5 F0.6 B1.0 F0.7 "
                                 "B1.1 F1.4 B1.2 F1.5 "
                                 "B1.3 F1.6 B0.0 F1.7 B0.1"));
    EXPECT_TRUE(
        text_of(pipeline, 3)
            .starts_with("F0.0 F0.1 F0.2 F0.3 F1.0 B1.0 F1.1 B1.1 F1.2 B1.2 F1.3 B1.3 F0.4 B0.0"));
    EXPECT_TRUE(text_of(pipeline, 0).ends_with(" B0.4 B0.5 B0.6 B0.7"));
}

TEST(Schedule, interleaving_one_chunk_is_one_f_one_b) {
    Pipeline pipeline{.schedule = Schedule::interleaved, .micro_batches = 7, .stages = 3};
    const std::string interleaved = text_of(pipeline, 1);
    pipeline.schedule = Schedule::one_f_one_b;
    EXPECT_EQ(interleaved, text_of(pipeline, 1));
}

// Qi et al., ICLR 2024, figure 3, top: four devices, eight micro-batches.
TEST(Schedule, zero_bubble_defers_weight_gradients_by_the_stage) {
    const Pipeline pipeline{.schedule = Schedule::zero_bubble, .micro_batches = 8, .stages = 4};
    EXPECT_TRUE(text_of(pipeline, 0).starts_with("F0 F1 F2 F3 B0 W0 F4 B1 W1 F5 B2 W2"));
    EXPECT_TRUE(text_of(pipeline, 3).starts_with("F0 B0 F1 B1 F2 B2 F3 B3 W0 F4 B4 W1"));
    EXPECT_TRUE(text_of(pipeline, 3).ends_with("F7 B7 W4 W5 W6 W7"));
}

TEST(Schedule, without_weight_gradients_zero_bubble_is_one_f_one_b) {
    for_each_stage([](Pipeline pipeline, Stage stage) {
        if (pipeline.schedule != Schedule::zero_bubble) {
            return;
        }
        std::vector<Pass> passes = passes_of(pipeline, stage);
        std::erase_if(passes,
                      [](const Pass& pass) { return pass.direction == Direction::weights; });
        pipeline.schedule = Schedule::one_f_one_b;
        EXPECT_EQ(passes, passes_of(pipeline, stage));
    });
}

TEST(Schedule, every_visit_makes_each_pass_once_in_order) {
    for_each_stage([](const Pipeline& pipeline, Stage stage) {
        std::map<std::pair<std::int64_t, std::int64_t>, std::int64_t> made;
        for (const Pass& pass : passes_of(pipeline, stage)) {
            EXPECT_EQ(made[std::pair(pass.visit.chunk, pass.visit.micro_batch)]++,
                      static_cast<std::int64_t>(pass.direction));
        }
        const std::int64_t directions = pipeline.schedule == Schedule::zero_bubble ? 3 : 2;
        EXPECT_EQ(made.size(), static_cast<std::size_t>(pipeline.micro_batches * pipeline.chunks));
        for (const auto& [visit, passes] : made) {
            EXPECT_EQ(passes, directions);
        }
    });
}

TEST(Schedule, visits_in_flight_are_the_closed_form) {
    for_each_stage([](const Pipeline& pipeline, Stage stage) {
        const std::int64_t m = pipeline.micro_batches;
        const std::int64_t p = pipeline.stages;
        const std::int64_t v = pipeline.chunks;
        const std::int64_t behind = p - 1 - stage.value();
        const std::vector<Pass> passes = passes_of(pipeline, stage);
        std::int64_t wanted = std::min(m, behind + 1);
        if (pipeline.schedule == Schedule::gpipe) {
            wanted = m;
        } else if (v > 1) {
            wanted = std::min(m * v, 2 * behind + (v - 1) * p + 1);
        }
        EXPECT_EQ(most_open(passes, Direction::backward), wanted);
        EXPECT_EQ(awaiting_backward(pipeline, stage), wanted);
        if (pipeline.schedule == Schedule::zero_bubble) {
            EXPECT_EQ(most_open(passes, Direction::weights), std::min(m, p));
            EXPECT_EQ(in_flight(pipeline, stage), std::min(m, p));
        } else {
            EXPECT_EQ(in_flight(pipeline, stage), wanted);
        }
    });
}

TEST(Schedule, interleaved_goes_chunk_by_chunk_in_groups_of_the_stages) {
    for_each_stage([](const Pipeline& pipeline, Stage stage) {
        if (pipeline.chunks == 1) {
            return;
        }
        for (const Direction direction : {Direction::forward, Direction::backward}) {
            std::vector<Pass> passes = passes_of(pipeline, stage);
            std::erase_if(passes, [&](const Pass& pass) { return pass.direction != direction; });
            const auto key = [&](const Pass& pass) {
                const Visit& at = pass.visit;
                const std::int64_t chunk = direction == Direction::forward ? at.chunk : -at.chunk;
                return std::tuple(at.micro_batch / pipeline.stages, chunk, at.micro_batch);
            };
            EXPECT_TRUE(std::is_sorted(
                passes.begin(), passes.end(), [&](auto& a, auto& b) { return key(a) < key(b); }));
        }
    });
}

TEST(Schedule, bubbles_are_those_of_the_papers) {
    const PassTimes times{.forward = 3, .backward = 4, .weights = 2};
    Pipeline pipeline{.micro_batches = 8, .stages = 4};
    EXPECT_DOUBLE_EQ(bubble(pipeline, times), 3 * 9);
    pipeline.schedule = Schedule::gpipe;
    EXPECT_DOUBLE_EQ(bubble(pipeline, times), 3 * 9);
    pipeline.schedule = Schedule::zero_bubble;
    EXPECT_DOUBLE_EQ(bubble(pipeline, times), 3 * (3 + 4 - 2));
    pipeline.schedule = Schedule::interleaved;
    pipeline.chunks = 2;
    EXPECT_DOUBLE_EQ(bubble(pipeline, times), 3 * 9 / 2.0);
}

}  // namespace traindyno
