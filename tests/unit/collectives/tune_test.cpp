// SPDX-License-Identifier: Apache-2.0
#include "collectives/auto/tune.hpp"

#include <map>

#include <gtest/gtest.h>

#include "collectives/communicator.hpp"

namespace traindyno {
namespace {

constexpr std::array carriers{Carrier::mpi, Carrier::ring, Carrier::double_tree};
constexpr GroupShape alone{};

/// start + bytes / rate.
struct Line {
    double start = 0;
    double rate = 1;

    [[nodiscard]] double seconds(std::int64_t bytes) const {
        return start + static_cast<double>(bytes) / rate;
    }
};

using Lines = std::map<Carrier, Line>;

std::vector<TuningRow> tuned(const Lines& lines, const TuningLimits& limits) {
    const std::unique_ptr<Communicator> group = Communicator::serial();
    return tune(
        *group,
        alone,
        carriers,
        [&](Carrier carrier, const Trial& trial) { return lines.at(carrier).seconds(trial.bytes); },
        limits);
}

/// The best of the lines; the first carrier where no other is 5 % better.
Carrier best_of(const Lines& lines, std::int64_t bytes) {
    Carrier best = Carrier::mpi;
    double bar = 0.95 * lines.at(best).seconds(bytes);
    for (const Carrier other : {Carrier::ring, Carrier::double_tree}) {
        if (lines.at(other).seconds(bytes) < bar) {
            best = other;
            bar = lines.at(other).seconds(bytes);
        }
    }
    return best;
}

// Cross at 10 KB and at 1 MB.
const Lines crossing{{Carrier::mpi, {.start = 1e-6, .rate = 1e9}},
                     {Carrier::double_tree, {.start = 6e-6, .rate = 2e9}},
                     {Carrier::ring, {.start = 256e-6, .rate = 4e9}}};

TEST(Tune, chooses_the_fastest_at_every_size) {
    const auto rows = tuned(crossing, {.seconds = 100});
    EXPECT_EQ(rows.size() % (enum_count<CollectiveOp> * enum_count<Urgency>), 0U);
    for (const TuningRow& row : rows) {
        EXPECT_EQ(row.carrier, best_of(crossing, row.bytes)) << row.bytes;
        EXPECT_FALSE(row.estimated);
    }
}

TEST(Tune, extrapolates_where_time_is_short) {
    const Lines slow{{Carrier::mpi, {.start = 1e-3, .rate = 10e6}},
                     {Carrier::double_tree, {.start = 1e-3, .rate = 12e6}},
                     {Carrier::ring, {.start = 60e-3, .rate = 20e6}}};
    const auto rows = tuned(slow, {.seconds = 1});
    bool any_estimated = false;
    for (const TuningRow& row : rows) {
        EXPECT_EQ(row.carrier, best_of(slow, row.bytes)) << row.bytes;
        any_estimated = any_estimated || row.estimated;
    }
    EXPECT_TRUE(any_estimated);
    EXPECT_TRUE(rows.back().estimated);
}

TEST(Tune, keeps_to_its_time) {
    double spent = 0;
    const std::unique_ptr<Communicator> group = Communicator::serial();
    const TuningLimits limits{.seconds = 2};
    const auto rows = tune(
        *group,
        alone,
        carriers,
        [&](Carrier carrier, const Trial& trial) {
            const double seconds = crossing.at(carrier).seconds(trial.bytes);
            spent += seconds;
            return seconds;
        },
        limits);
    EXPECT_LE(spent, limits.seconds);
    EXPECT_FALSE(rows.empty());
}

TEST(Tune, stops_trying_what_is_hopeless_at_large_sizes) {
    const Lines lines{{Carrier::mpi, {.start = 1e-6, .rate = 4e9}},
                      {Carrier::double_tree, {.start = 1e-6, .rate = 4e9}},
                      {Carrier::ring, {.start = 1e-6, .rate = 1e9}}};
    std::int64_t largest = 0;
    const std::unique_ptr<Communicator> group = Communicator::serial();
    static_cast<void>(tune(*group,
                           alone,
                           carriers,
                           [&](Carrier carrier, const Trial& trial) {
                               if (carrier == Carrier::ring) {
                                   largest = std::max(largest, trial.bytes);
                               }
                               return lines.at(carrier).seconds(trial.bytes);
                           },
                           {.seconds = 100}));
    EXPECT_EQ(largest, 1 << 20);
}

}  // namespace
}  // namespace traindyno
