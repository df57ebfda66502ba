// SPDX-License-Identifier: Apache-2.0
#include "collectives/auto/tune.hpp"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

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
    const auto rows = tuned(slow, {.seconds = 1.5, .largest = {largest_trial}});
    bool any_estimated = false;
    for (const TuningRow& row : rows) {
        EXPECT_EQ(row.carrier, best_of(slow, row.bytes)) << row.bytes;
        any_estimated = any_estimated || row.estimated;
    }
    EXPECT_TRUE(any_estimated);
    EXPECT_TRUE(rows.back().estimated);
}

/// Scripted trials, counted.
struct Script {
    Lines lines;
    std::vector<double> noise{};  ///< times the line, trial by trial, round and round
    std::vector<std::pair<Carrier, Trial>> trials{};
    double seconds = 0;  ///< of all

    [[nodiscard]] double run(Carrier carrier, const Trial& trial) {
        const double factor = noise.empty() ? 1 : noise[trials.size() % noise.size()];
        trials.emplace_back(carrier, trial);
        const double each = lines.at(carrier).seconds(trial.bytes) * factor;
        seconds += each * trial.calls;
        return each;
    }

    [[nodiscard]] std::int64_t count(Carrier carrier, std::int64_t bytes) const {
        return std::count_if(trials.begin(), trials.end(), [&](const auto& each) {
            return each.first == carrier && each.second.bytes == bytes;
        });
    }

    [[nodiscard]] std::vector<TuningRow> tune_with(const TuningLimits& limits,
                                                   const KnownCosts& costs = {}) {
        const std::unique_ptr<Communicator> group = Communicator::serial();
        return tune(
            *group,
            alone,
            carriers,
            [this](Carrier carrier, const Trial& trial) { return run(carrier, trial); },
            limits,
            costs);
    }
};

constexpr std::int64_t kib = 1024;

const TuningRow& row_of(const std::vector<TuningRow>& rows, Urgency urgency, std::int64_t bytes) {
    const auto found = std::find_if(rows.begin(), rows.end(), [&](const TuningRow& row) {
        return row.urgency == urgency && row.bytes == bytes;
    });
    return found == rows.end() ? rows.front() : *found;
}

TEST(Tune, keeps_to_its_time) {
    // The last: so slow that little more than the smallest messages can be tried.
    for (const double scale : {1.0, 10.0, 30.0}) {
        Script script{.lines = crossing};
        for (auto& [carrier, line] : script.lines) {
            line.start *= scale;
            line.rate /= scale;
        }
        const TuningLimits limits{.seconds = 1};
        EXPECT_FALSE(script.tune_with(limits).empty());
        // Each operation may try the smallest messages once, whatever those before it took.
        EXPECT_LE(script.seconds, 1.5 * limits.seconds) << scale;
    }
}

TEST(Tune, stops_trying_what_is_hopeless_at_large_sizes) {
    Script script{.lines = {{Carrier::mpi, {.start = 1e-6, .rate = 4e9}},
                            {Carrier::double_tree, {.start = 1e-6, .rate = 4e9}},
                            {Carrier::ring, {.start = 1e-6, .rate = 0.5e9}}}};
    static_cast<void>(script.tune_with({.seconds = 100}));
    EXPECT_GT(script.count(Carrier::ring, 4 * kib), 0);
    EXPECT_EQ(script.count(Carrier::ring, largest_trial), 0);
    EXPECT_GT(script.count(Carrier::double_tree, largest_trial), 0);
}

TEST(Tune, does_not_try_what_needs_more_than_the_best_took) {
    Script script{.lines = crossing};
    // By the formula the ring needs what the scripted ring takes; of MPI nothing is known.
    const auto rows = script.tune_with(
        {.seconds = 100, .largest = {largest_trial}},
        [](Carrier carrier, CollectiveOp /*op*/, std::int64_t bytes) -> KnownCost {
            const double seconds = crossing.at(carrier).seconds(bytes);
            return {.least = carrier == Carrier::mpi ? 0 : seconds, .typical = seconds};
        });
    EXPECT_EQ(script.count(Carrier::ring, 4 * kib), 0);  // 257 us against 5
    EXPECT_GT(script.count(Carrier::ring, largest_trial), 0);
    for (const TuningRow& row : rows) {
        EXPECT_EQ(row.carrier, best_of(crossing, row.bytes)) << row.bytes;
    }
}

TEST(Tune, outlives_trials_that_something_else_disturbed) {
    // Every seventh trial takes eight times as long: another carrier's in every round.
    Script script{.lines = crossing, .noise = {1, 1, 1, 1, 1, 8, 1}};
    for (const TuningRow& row : script.tune_with({.seconds = 100})) {
        const double best = crossing.at(best_of(crossing, row.bytes)).seconds(row.bytes);
        EXPECT_LE(crossing.at(row.carrier).seconds(row.bytes), 1.15 * best) << row.bytes;
    }
}

TEST(Tune, extrapolates_by_the_formula) {
    // Small messages pass a shaped link at once; a line through them would end far too low.
    const Lines lines{{Carrier::mpi, {.start = 5e-3, .rate = 12.5e6}},
                      {Carrier::double_tree, {.start = 4e-3, .rate = 6e6}},
                      {Carrier::ring, {.start = 14e-3, .rate = 25e6}}};
    Script script{.lines = lines};
    const auto rows = script.tune_with(
        {.seconds = 0.5, .largest = {largest_trial}},
        [&](Carrier carrier, CollectiveOp /*op*/, std::int64_t bytes) -> KnownCost {
            const double seconds = static_cast<double>(bytes) / lines.at(carrier).rate;
            return {.least = carrier == Carrier::mpi ? 0 : seconds, .typical = seconds};
        });
    const TuningRow& last = row_of(rows, Urgency::immediate, largest_trial);
    EXPECT_TRUE(last.estimated);
    EXPECT_EQ(last.carrier, Carrier::ring);
    EXPECT_NEAR(last.seconds[static_cast<std::size_t>(Carrier::ring)],
                lines.at(Carrier::ring).seconds(largest_trial),
                1e-9);
}

TEST(Tune, times_long_calls_once_for_both_urgencies) {
    Script script{.lines = {{Carrier::mpi, {.start = 3e-3, .rate = 1e9}},
                            {Carrier::double_tree, {.start = 4e-3, .rate = 1e9}},
                            {Carrier::ring, {.start = 5e-3, .rate = 1e9}}}};
    const auto rows = script.tune_with({.seconds = 100, .largest = {4 * kib}});
    for (const auto& [carrier, trial] : script.trials) {
        EXPECT_TRUE(carrier == Carrier::mpi || trial.urgency == Urgency::immediate);
    }
    EXPECT_EQ(row_of(rows, Urgency::background, 4 * kib).seconds,
              row_of(rows, Urgency::immediate, 4 * kib).seconds);
}

TEST(Contest, tries_again_only_what_is_near_the_best) {
    Script script{.lines = {{Carrier::mpi, {.start = 1e-3}},
                            {Carrier::double_tree, {.start = 1.05e-3}},
                            {Carrier::ring, {.start = 20e-3}}}};
    const std::unique_ptr<Communicator> group = Communicator::serial();
    const MeasureTrial measure = [&](Carrier carrier, const Trial& trial) {
        return script.run(carrier, trial);
    };
    AgreedTimer timer(*group, measure);
    const std::array entrants{Entrant{.carrier = Carrier::mpi},
                              Entrant{.carrier = Carrier::double_tree},
                              Entrant{.carrier = Carrier::ring}};
    const auto seconds = run_contest(timer, {}, entrants, {.first_until = 10, .repeat_until = 10});
    EXPECT_EQ(script.count(Carrier::ring, 0), 1);
    EXPECT_GE(script.count(Carrier::double_tree, 0), 5);
    EXPECT_EQ(seconds, (std::vector<double>{1e-3, 1.05e-3, 20e-3}));
}

TEST(Contest, ends_with_its_time_but_not_without_a_result) {
    Script script{.lines = {{Carrier::mpi, {.start = 1}},
                            {Carrier::double_tree, {.start = 1}},
                            {Carrier::ring, {.start = 1}}}};
    const std::unique_ptr<Communicator> group = Communicator::serial();
    const MeasureTrial measure = [&](Carrier carrier, const Trial& trial) {
        return script.run(carrier, trial);
    };
    AgreedTimer timer(*group, measure);
    const std::array entrants{Entrant{.carrier = Carrier::mpi, .least = 1},
                              Entrant{.carrier = Carrier::double_tree, .least = 1},
                              Entrant{.carrier = Carrier::ring, .least = 0.5}};
    const auto seconds = run_contest(timer, {}, entrants, {});
    EXPECT_EQ(seconds, (std::vector<double>{0, 0, 1}));  // the most promising one
    EXPECT_DOUBLE_EQ(timer.spent(), script.seconds);
}

}  // namespace
}  // namespace traindyno
