// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/schedule.hpp"

#include <algorithm>

#include <gtest/gtest.h>

namespace traindyno {

namespace {

/// "F0 F1 B0 B1"
std::string text_of(const std::vector<Pass>& passes) {
    std::string text;
    for (const Pass& pass : passes) {
        text += (text.empty() ? "" : " ");
        text +=
            (pass.direction == Direction::forward ? "F" : "B") + std::to_string(pass.micro_batch);
    }
    return text;
}

}  // namespace

TEST(Schedule, gpipe_runs_all_forwards_first) {
    EXPECT_EQ(text_of(passes_of(Schedule::gpipe, 3, 2, Stage{0})), "F0 F1 F2 B0 B1 B2");
}

TEST(Schedule, one_f_one_b_warms_up_by_the_stages_behind) {
    const auto text = [](std::int64_t stage) {
        return text_of(passes_of(Schedule::one_f_one_b, 4, 3, Stage{stage}));
    };
    EXPECT_EQ(text(0), "F0 F1 F2 B0 F3 B1 B2 B3");
    EXPECT_EQ(text(1), "F0 F1 B0 F2 B1 F3 B2 B3");
    EXPECT_EQ(text(2), "F0 B0 F1 B1 F2 B2 F3 B3");
}

TEST(Schedule, one_f_one_b_with_fewer_micro_batches_than_stages_is_gpipe) {
    EXPECT_EQ(passes_of(Schedule::one_f_one_b, 2, 8, Stage{0}),
              passes_of(Schedule::gpipe, 2, 8, Stage{0}));
}

TEST(Schedule, micro_batches_in_flight_stay_within_their_bound) {
    for (const Schedule schedule : {Schedule::gpipe, Schedule::one_f_one_b}) {
        for (std::int64_t stages = 1; stages <= 8; ++stages) {
            for (std::int64_t stage = 0; stage < stages; ++stage) {
                for (std::int64_t m = 1; m <= 9; ++m) {
                    std::int64_t open = 0;
                    std::int64_t most = 0;
                    for (const Pass& pass : passes_of(schedule, m, stages, Stage{stage})) {
                        open += pass.direction == Direction::forward ? 1 : -1;
                        most = std::max(most, open);
                    }
                    EXPECT_EQ(open, 0);
                    EXPECT_EQ(most, schedule == Schedule::gpipe ? m : std::min(m, stages - stage));
                    EXPECT_EQ(most, in_flight(schedule, m, stages, Stage{stage}));
                }
            }
        }
    }
}

}  // namespace traindyno
