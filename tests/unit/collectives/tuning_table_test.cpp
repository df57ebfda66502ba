// SPDX-License-Identifier: Apache-2.0
#include "collectives/auto/tuning_table.hpp"

#include <fstream>
#include <limits>
#include <sstream>

#include <gtest/gtest.h>

#include "emulator/base/error.hpp"
#include "tests/unit/base/scratch_folder.hpp"

namespace traindyno {
namespace {

constexpr GroupShape four_hosts{.ranks = 8, .nodes = 4, .fewest = 2, .most = 2};

TuningRow row(std::int64_t bytes, Carrier carrier) {
    TuningRow result{.shape = four_hosts, .bytes = bytes, .carrier = carrier};
    result.seconds[static_cast<std::size_t>(Carrier::mpi)] = 0.25;
    result.seconds[static_cast<std::size_t>(carrier)] = 0.125e-3;
    return result;
}

constexpr const char* minimal = R"([[choice]]
op = "all_reduce"
urgency = "background"
ranks = 8
nodes = 4
fewest_per_node = 2
most_per_node = 2
bytes = "1MiB"
algorithm = "ring"
times = "mpi 2ms, ring 1ms"
)";

std::string error_of(const std::string& text) {
    const ScratchFolder scratch;
    try {
        (void)TuningTable::read(scratch.write("tuning.toml", text));
    } catch (const ConfigError& error) {
        return error.what();
    }
    return "";
}

std::string with(const std::string& old, const std::string& replacement) {
    std::string text = minimal;
    text.replace(text.find(old), old.size(), replacement);
    return text;
}

TEST(TuningTable, reads_a_row) {
    const ScratchFolder scratch;
    const TuningTable table = TuningTable::read(scratch.write("tuning.toml", minimal));
    ASSERT_EQ(table.rows().size(), 1U);
    TuningRow expected{.shape = four_hosts, .bytes = 1 << 20, .carrier = Carrier::ring};
    expected.seconds[static_cast<std::size_t>(Carrier::mpi)] = 2e-3;
    expected.seconds[static_cast<std::size_t>(Carrier::ring)] = 1e-3;
    EXPECT_EQ(table.rows().front(), expected);
}

TEST(TuningTable, what_is_written_reads_the_same) {
    TuningTable table;
    table.add(row(4096, Carrier::recursive_doubling));
    table.add(row(1 << 20, Carrier::hierarchical));
    TuningRow estimated = row(1'000'001, Carrier::shm);
    estimated.op = CollectiveOp::broadcast;
    estimated.urgency = Urgency::immediate;
    estimated.estimated = true;
    table.add(estimated);
    const ScratchFolder scratch;
    table.write(scratch.path() / "tuning.toml");
    EXPECT_EQ(TuningTable::read(scratch.path() / "tuning.toml"), table);
}

TEST(TuningTable, a_row_applies_to_the_sizes_nearest_to_it) {
    TuningTable table;
    table.add(row(1 << 20, Carrier::hierarchical));
    table.add(row(1 << 10, Carrier::mpi));
    table.add(row(1 << 14, Carrier::ring));
    const auto choices = table.choices(CollectiveOp::all_reduce, Urgency::background, four_hosts);
    // Half way between 2^10 and 2^14 is 2^12, between 2^14 and 2^20 it is 2^17.
    const std::vector<SizeChoice> expected{{.up_to = 1 << 12, .carrier = Carrier::mpi},
                                           {.up_to = 1 << 17, .carrier = Carrier::ring},
                                           {.up_to = 1 << 20, .carrier = Carrier::hierarchical}};
    EXPECT_EQ(choices, expected);
    EXPECT_EQ(choose(choices, 0), Carrier::mpi);
    EXPECT_EQ(choose(choices, 1 << 12), Carrier::mpi);
    EXPECT_EQ(choose(choices, (1 << 12) + 1), Carrier::ring);
    EXPECT_EQ(choose(choices, std::numeric_limits<std::int64_t>::max()), Carrier::hierarchical);
}

TEST(TuningTable, choices_of_other_operations_and_placements_do_not_count) {
    TuningTable table;
    table.add(row(1 << 20, Carrier::ring));
    EXPECT_TRUE(table.choices(CollectiveOp::broadcast, Urgency::background, four_hosts).empty());
    EXPECT_TRUE(table.choices(CollectiveOp::all_reduce, Urgency::immediate, four_hosts).empty());
    EXPECT_TRUE(table.choices(CollectiveOp::all_reduce, Urgency::background, GroupShape{}).empty());
    EXPECT_EQ(table.rows_of(four_hosts).size(), 1U);
    EXPECT_TRUE(table.rows_of(GroupShape{}).empty());
}

TEST(TuningTable, a_new_measurement_replaces_the_old_one) {
    TuningTable table;
    table.add(row(1 << 20, Carrier::ring));
    table.add(row(1 << 20, Carrier::shm));
    ASSERT_EQ(table.rows().size(), 1U);
    EXPECT_EQ(table.rows().front().carrier, Carrier::shm);
}

TEST(TuningTable, every_mistake_is_named) {
    const std::string text = with("\"ring\"\n", "\"rings\"\nspeed = 3\n") + R"([[choice]]
op = "all_reduce"
urgency = "soon"
ranks = 0
bytes = "12"
times = "mpi"
)";
    const std::string error = error_of(text);
    for (const char* part : {"algorithm: ",
                             "'rings'",
                             "speed",
                             "urgency: ",
                             "'soon'",
                             "ranks: ",
                             "nodes: ",
                             "fewest_per_node: ",
                             "bytes: ",
                             "times: "}) {
        EXPECT_NE(error.find(part), std::string::npos) << part << " in\n" << error;
    }
}

TEST(TuningTable, unknown_keys_beside_the_rows_are_refused) {
    EXPECT_NE(error_of(std::string("colour = 3\n") + minimal).find("colour"), std::string::npos);
}

TEST(TuningTable, two_rows_for_the_same_messages_are_refused) {
    EXPECT_NE(error_of(std::string(minimal) + minimal).find("the same messages"),
              std::string::npos);
}

TEST(TuningTable, a_placement_that_cannot_be_is_refused) {
    EXPECT_NE(error_of(with("ranks = 8", "ranks = 9")).find("9 ranks do not fit"),
              std::string::npos);
}

TEST(TuningTable, a_folder_that_is_not_there_is_the_users_error) {
    const ScratchFolder scratch;
    EXPECT_THROW(TuningTable().write(scratch.path() / "none" / "tuning.toml"), ConfigError);
}

}  // namespace
}  // namespace traindyno
