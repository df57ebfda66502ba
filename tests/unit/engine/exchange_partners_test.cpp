// SPDX-License-Identifier: Apache-2.0
#include "emulator/engine/exchange_partners.hpp"

#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/tiny_program.hpp"

namespace traindyno {
namespace {

using Ranks = std::vector<std::uint8_t>;

/// Of a group of 4, with 12 elements on each side.
Op exchange(std::vector<std::int64_t> sent, std::vector<std::int64_t> received) {
    const Slice buffer{.space = Space::workspace, .offset = 0, .elements = 12};
    return CommOp{Collective{.kind = CollectiveKind::all_to_all,
                             .group = GroupId{0},
                             .input = buffer,
                             .output = buffer,
                             .sent = std::move(sent),
                             .received = std::move(received)}};
}

ExchangePartners partners_in(std::vector<Op> ops) {
    StepProgram program = test::program_with_group(4, 12, GroupKind::cp);
    for (Op& op : ops) {
        (void)test::add_task(program, {{.op = std::move(op), .lane = Lane::cp, .after = {}}});
    }
    return exchange_partners(program).at(0);
}

TEST(ExchangePartners, are_the_neighbours_of_a_ring) {
    EXPECT_EQ(partners_in({exchange({0, 12, 0, 0}, {0, 0, 0, 12})}),
              (ExchangePartners{.sent_to = Ranks{0, 1, 0, 0}, .received_from = Ranks{0, 0, 0, 1}}));
}

TEST(ExchangePartners, are_all_members_where_parts_are_equal) {
    EXPECT_EQ(partners_in({exchange({}, {})}),
              (ExchangePartners{.sent_to = Ranks{1, 1, 1, 1}, .received_from = Ranks{1, 1, 1, 1}}));
}

TEST(ExchangePartners, are_those_of_all_exchanges_together) {
    EXPECT_EQ(partners_in({exchange({0, 12, 0, 0}, {0, 0, 0, 12}),
                           test::all_reduce(GroupId{0}, 12),
                           exchange({4, 8, 0, 0}, {0, 0, 12, 0})}),
              (ExchangePartners{.sent_to = Ranks{1, 1, 0, 0}, .received_from = Ranks{0, 0, 1, 1}}));
}

TEST(ExchangePartners, are_none_of_a_group_that_only_reduces) {
    EXPECT_EQ(partners_in({test::all_reduce(GroupId{0}, 12)}), ExchangePartners{});
}

}  // namespace
}  // namespace traindyno
