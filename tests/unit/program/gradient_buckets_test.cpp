// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/gradient_buckets.hpp"

#include <gtest/gtest.h>

#include "emulator/program/sharding.hpp"

namespace traindyno {

namespace {

std::vector<Bucket> taken(std::span<const Bucket> buckets) {
    return {buckets.begin(), buckets.end()};
}

}  // namespace

using Buckets = std::vector<Bucket>;

TEST(GradientBuckets, hold_as_many_values_as_their_bytes) {
    EXPECT_EQ(bucket_elements(Bytes{25 * 1024 * 1024}, DType::fp32), 25 * 1024 * 1024 / 4);
    EXPECT_EQ(bucket_elements(Bytes{25 * 1024 * 1024}, DType::bf16), 25 * 1024 * 1024 / 2);
    EXPECT_EQ(bucket_elements(Bytes{7}, DType::fp32), 1);
    EXPECT_EQ(bucket_elements(Bytes{3}, DType::fp32), 1);
}

TEST(GradientBuckets, complete_once_their_last_gradient_is_ready) {
    GradientBuckets buckets(cut({.bucket = 10}, 0, 25));
    EXPECT_EQ(taken(buckets.complete_up_to(9)), Buckets{});
    EXPECT_EQ(taken(buckets.complete_up_to(21)),
              (Buckets{{.offset = 0, .elements = 10}, {.offset = 10, .elements = 10}}));
    EXPECT_EQ(taken(buckets.complete_up_to(24)), Buckets{});
    EXPECT_EQ(taken(buckets.complete_up_to(25)), (Buckets{{.offset = 20, .elements = 5}}));
    EXPECT_EQ(taken(buckets.complete_up_to(25)), Buckets{});
}

TEST(GradientBuckets, one_bucket_spans_everything_when_it_is_large) {
    GradientBuckets buckets(cut({.bucket = 1000}, 0, 25));
    EXPECT_EQ(taken(buckets.complete_up_to(24)), Buckets{});
    EXPECT_EQ(taken(buckets.complete_up_to(25)), (Buckets{{.offset = 0, .elements = 25}}));
}

TEST(GradientBuckets, of_zero_3_are_whole_units) {
    EXPECT_EQ(cut({.zero = Zero::parameters, .ranks = 2, .bucket = 128}, 256, 1024),
              (Buckets{{.offset = 256, .elements = 768}}));
}

}  // namespace traindyno
