// SPDX-License-Identifier: Apache-2.0
// How many heads batched attention takes at a time.
#include <gtest/gtest.h>

#include "emulator/device/cuda/attention/batched_attention.hpp"

namespace traindyno::cuda {
namespace {

AttentionShape shape_with(std::int64_t seq, std::int64_t heads, std::int64_t kv_heads) {
    return {.batch = 1, .seq = seq, .heads = heads, .kv_heads = kv_heads, .head_size = 128};
}

TEST(HeadsAtOnce, are_all_heads_of_short_sequences) {
    EXPECT_EQ(heads_at_once(shape_with(128, 96, 96), DType::bf16), 96);
}

TEST(HeadsAtOnce, share_one_key_head_when_key_heads_are_shared) {
    EXPECT_EQ(heads_at_once(shape_with(128, 32, 8), DType::bf16), 4);
}

/// 2048 x 2048 scores of 12 bytes are 48 MiB: 10 heads fit 512 MiB, and 8 of those divide 96.
TEST(HeadsAtOnce, divide_the_heads_and_fit_the_limit) {
    EXPECT_EQ(heads_at_once(shape_with(2048, 96, 96), DType::bf16), 8);
}

/// 1024 x 4096 scores take as much as 2048 x 2048.
TEST(HeadsAtOnce, depend_on_keys_as_on_queries) {
    AttentionShape shape = shape_with(1024, 96, 96);
    shape.keys = 4096;
    shape.mask = AttentionMask::none;
    EXPECT_EQ(heads_at_once(shape, DType::bf16), 8);
}

TEST(HeadsAtOnce, are_one_when_even_one_exceeds_the_limit) {
    EXPECT_EQ(heads_at_once(shape_with(16384, 96, 96), DType::bf16), 1);
}

}  // namespace
}  // namespace traindyno::cuda
