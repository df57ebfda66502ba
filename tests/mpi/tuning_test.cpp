// SPDX-License-Identifier: Apache-2.0
// Members that see different times choose alike.
#include <algorithm>

#include <gtest/gtest.h>

#include "collectives/auto/auto_communicator.hpp"
#include "collectives/auto/host_carriers.hpp"
#include "collectives/auto/tune.hpp"
#include "collectives/control.hpp"
#include "emulator/base/error.hpp"
#include "tests/mpi/mpi_test.hpp"

namespace traindyno {
namespace {

constexpr std::array carriers{Carrier::mpi, Carrier::ring, Carrier::halving_doubling};

std::string text_of(const std::vector<TuningRow>& rows) {
    std::string text;
    for (const TuningRow& row : rows) {
        text += std::to_string(static_cast<int>(row.carrier)) + (row.estimated ? "e" : "m");
        for (const double seconds : row.seconds) {
            text += " " + std::to_string(seconds);
        }
    }
    return text;
}

TEST(Tuning, members_with_different_times_get_the_slowest_ones) {
    const auto world = test::session().world();
    const std::int64_t rank = world->rank().value();
    // The ring is fastest on the first rank and slowest on the last one.
    const auto measure = [&](Carrier carrier, const Trial& trial) {
        const double unit = 1e-9 * static_cast<double>(trial.bytes);
        switch (carrier) {
            case Carrier::mpi:
                return 4 * unit;
            case Carrier::ring:
                return static_cast<double>(1 + 8 * rank) * unit;
            default:
                return 2 * unit;
        }
    };
    const std::vector<TuningRow> rows =
        tune(*world, {.ranks = world->size()}, carriers, measure, {.seconds = 50});
    const Carrier expected = world->size() == 1 ? Carrier::ring : Carrier::halving_doubling;
    for (const TuningRow& row : rows) {
        EXPECT_EQ(row.carrier, expected) << row.bytes;
    }
    for (const std::string& other : all_gather_text(*world, text_of(rows))) {
        EXPECT_EQ(other, text_of(rows));
    }
}

TEST(Tuning, only_the_first_rank_need_know_the_placement) {
    const auto world = test::session().world();
    const GroupShape shape{
        .ranks = world->size(), .nodes = 1, .fewest = world->size(), .most = world->size()};
    const auto table = std::make_shared<TuningTable>();
    constexpr std::int64_t largest = 1 << 20;
    if (world->rank() == GroupRank{0}) {
        for (const Urgency urgency : {Urgency::background, Urgency::immediate}) {
            table->add({.urgency = urgency, .shape = shape, .bytes = largest});
        }
    }
    const auto root = make_auto_communicator(world->split(0, world->rank().value()),
                                             {.node = "h1",
                                              .candidates = {},
                                              .limits = {.largest = {largest}},  // all_reduce alone
                                              .table = table});
    const auto group = root->split(0, world->rank().value());
    // Had it been measured, there would be rows for more sizes; a group of one has no choice.
    const bool knows = world->size() > 1 || world->rank() == GroupRank{0};
    EXPECT_EQ(table->rows_of(shape).size(), knows ? 2U : 0U);
    barrier(*group, Urgency::immediate);
}

TEST(Tuning, measures_once_per_placement) {
    const auto world = test::session().world();
    const auto table = std::make_shared<TuningTable>();
    const auto root = make_auto_communicator(
        world->split(0, world->rank().value()),
        {.node = "h1", .candidates = {}, .limits = {.seconds = 0.1}, .table = table});
    const auto first = root->split(0, world->rank().value());
    const TuningTable measured = *table;
    const auto second = root->split(0, -world->rank().value());
    EXPECT_EQ(*table, measured);
    EXPECT_EQ(table->rows().empty(), world->size() == 1);
    for (const std::string& each : all_gather_text(*world, text_of(table->rows()))) {
        EXPECT_EQ(each, text_of(table->rows()));
    }
}

TEST(Tuning, does_without_carriers_that_do_not_work) {
    const auto world = test::session().world();
    const auto table = std::make_shared<TuningTable>();
    const Candidate broken{
        .carrier = Carrier::ring,
        .make = [](std::unique_ptr<Communicator>) -> std::unique_ptr<Communicator> {
            throw LibraryError("test", 1, "nothing works", "make", Where::here());
        }};
    const auto root = make_auto_communicator(world->split(0, world->rank().value()),
                                             {.node = "h1",
                                              .candidates = {broken},
                                              .limits = {.seconds = 0.1, .largest = {4096}},
                                              .table = table});
    const auto group = root->split(0, world->rank().value());
    EXPECT_EQ(table->rows().size(), world->size() == 1 ? 0U : 2U);
    for (const TuningRow& row : table->rows()) {
        EXPECT_EQ(row.carrier, Carrier::mpi);
    }
    barrier(*group, Urgency::immediate);
}

std::string fixed_carrier(Carrier carrier, const std::string& node) {
    const auto world = test::session().world();
    const auto table = std::make_shared<TuningTable>();
    const auto root = make_auto_communicator(world->split(0, world->rank().value()),
                                             {.node = node,
                                              .candidates = host_carriers(node),
                                              .limits = {},
                                              .table = table,
                                              .fixed = carrier});
    const auto group = root->split(0, world->rank().value());
    EXPECT_TRUE(table->rows().empty());
    barrier(*group, Urgency::immediate);
    return std::string(group->carrier(CollectiveOp::all_reduce, 4, Urgency::background));
}

TEST(Tuning, a_fixed_carrier_carries_all_it_can) {
    if (test::session().size() == 1) {
        GTEST_SKIP() << "a group of one carries nothing";
    }
    EXPECT_EQ(fixed_carrier(Carrier::ring, "h1"), "ring");
    EXPECT_EQ(fixed_carrier(Carrier::shm, "h1"), "shm");
    EXPECT_EQ(fixed_carrier(Carrier::shm, std::to_string(test::session().rank().value())), "mpi");
    EXPECT_EQ(fixed_carrier(Carrier::hierarchical, "h1"), "mpi");
}

}  // namespace
}  // namespace traindyno
