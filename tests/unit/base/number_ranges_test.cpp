// SPDX-License-Identifier: Apache-2.0
#include "emulator/base/number_ranges.hpp"

#include <cstdint>
#include <vector>

#include <gtest/gtest.h>

namespace traindyno {

namespace {

TEST(NumberRanges, are_written_as_the_kernel_writes_them) {
    EXPECT_EQ(ranges_text({}), "");
    EXPECT_EQ(ranges_text({4}), "4");
    EXPECT_EQ(ranges_text({0, 1, 2, 3}), "0-3");
    EXPECT_EQ(ranges_text({0, 2, 3, 8}), "0,2-3,8");
}

TEST(NumberRanges, are_read_back) {
    for (const std::vector<std::int32_t>& numbers :
         {std::vector<std::int32_t>{}, {4}, {0, 1, 2, 3}, {0, 2, 3, 8}, {10, 11, 127}}) {
        EXPECT_EQ(parse_ranges(ranges_text(numbers)), numbers);
    }
}

TEST(NumberRanges, end_at_what_is_not_a_range) {
    EXPECT_EQ(parse_ranges("0-1\n"), (std::vector<std::int32_t>{0, 1}));
    EXPECT_EQ(parse_ranges("3,x,5"), (std::vector<std::int32_t>{3}));
    EXPECT_EQ(parse_ranges("max"), std::vector<std::int32_t>{});
}

}  // namespace

}  // namespace traindyno
