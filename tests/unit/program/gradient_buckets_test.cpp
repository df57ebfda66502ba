// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/gradient_buckets.hpp"

#include <gtest/gtest.h>

namespace traindyno {

using Buckets = std::vector<GradientBucket>;

TEST(GradientBuckets, hold_fp32_values) {
    EXPECT_EQ(bucket_elements(Bytes{25 * 1024 * 1024}), 25 * 1024 * 1024 / 4);
    EXPECT_EQ(bucket_elements(Bytes{7}), 1);
}

TEST(GradientBuckets, complete_once_their_last_gradient_is_ready) {
    GradientBuckets buckets(25, Bytes{40});
    EXPECT_EQ(buckets.complete_up_to(9), Buckets{});
    EXPECT_EQ(buckets.complete_up_to(21),
              (Buckets{{.offset = 0, .elements = 10}, {.offset = 10, .elements = 10}}));
    EXPECT_EQ(buckets.complete_up_to(24), Buckets{});
    EXPECT_EQ(buckets.complete_up_to(25), (Buckets{{.offset = 20, .elements = 5}}));
    EXPECT_EQ(buckets.complete_up_to(25), Buckets{});
}

TEST(GradientBuckets, one_bucket_spans_everything_when_it_is_large) {
    GradientBuckets buckets(25, Bytes{4000});
    EXPECT_EQ(buckets.complete_up_to(24), Buckets{});
    EXPECT_EQ(buckets.complete_up_to(25), (Buckets{{.offset = 0, .elements = 25}}));
}

}  // namespace traindyno
