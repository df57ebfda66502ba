// SPDX-License-Identifier: Apache-2.0
// FLOPs, traffic and payload of single operations, counted by hand.
#include "emulator/program/op.hpp"

#include <gtest/gtest.h>

namespace traindyno {
namespace {

Slice in(Space space, std::int64_t elements) {
    return {.space = space, .offset = 0, .elements = elements};
}

MatMul matmul(Accumulate accumulate, Space c) {
    return {.m = 3,
            .n = 5,
            .k = 7,
            .accumulate = accumulate,
            .a = in(Space::saved, 21),
            .b = in(Space::parameter, 35),
            .c = in(c, 15)};
}

AttentionForward attention_forward() {
    return {.batch = 2,
            .seq = 16,
            .heads = 4,
            .kv_heads = 2,
            .head_size = 8,
            .qkv = in(Space::saved, 2LL * 16 * 8 * 8),
            .context = in(Space::saved, 2LL * 16 * 4 * 8),
            .statistics = in(Space::saved, 2LL * 4 * 16)};
}

AttentionBackward attention_backward() {
    return {.batch = 2,
            .seq = 16,
            .heads = 4,
            .kv_heads = 2,
            .head_size = 8,
            .qkv = in(Space::saved, 2LL * 16 * 8 * 8),
            .context = in(Space::saved, 2LL * 16 * 4 * 8),
            .statistics = in(Space::saved, 2LL * 4 * 16),
            .grad_context = in(Space::workspace, 2LL * 16 * 4 * 8),
            .grad_qkv = in(Space::workspace, 2LL * 16 * 8 * 8)};
}

TEST(OpFlops, of_a_product_are_2_m_n_k) {
    EXPECT_DOUBLE_EQ(flops(matmul(Accumulate::no, Space::workspace)).value(), 2 * 3 * 5 * 7);
    EXPECT_DOUBLE_EQ(flops(matmul(Accumulate::yes, Space::gradient)).value(), 2 * 3 * 5 * 7);
}

TEST(OpFlops, of_a_huge_product_do_not_overflow) {
    const std::int64_t big = 1 << 24;
    EXPECT_DOUBLE_EQ(flops(MatMul{.m = big, .n = big, .k = big, .a = {}, .b = {}, .c = {}}).value(),
                     2 * 0x1p72);
}

TEST(OpFlops, of_attention_are_two_score_products_forward_and_five_backward) {
    const double product = 2.0 * 2 * 4 * 16 * 16 * 8;  // 2 b a s s d
    EXPECT_DOUBLE_EQ(flops(attention_forward()).value(), 2 * product);
    EXPECT_DOUBLE_EQ(flops(attention_backward()).value(), 5 * product);
}

/// 16 queries of each sequence to 6 keys that lie apart.
template <class Attention>
Attention to_keys_apart(Attention op) {
    op.keys = 6;
    op.mask = AttentionMask::none;
    op.keys_values = in(Space::workspace, 2LL * 6 * 2 * 2 * 8);
    return op;
}

TEST(OpFlops, of_attention_without_mask_count_each_pair_of_query_and_key_twice) {
    const double product = 2 * (2.0 * 2 * 4 * 16 * 6 * 8);
    EXPECT_DOUBLE_EQ(flops(to_keys_apart(attention_forward())).value(), 2 * product);
    EXPECT_DOUBLE_EQ(flops(to_keys_apart(attention_backward())).value(), 5 * product);
}

TEST(OpFlops, of_elementwise_kernels_and_adam_are_not_counted) {
    EXPECT_EQ(flops(Elementwise{.rows = 9, .columns = 9, .reads = {}, .writes = {}}), Flops{0});
    EXPECT_EQ(flops(OptimizerStep{.elements = 1000}), Flops{0});
}

TEST(OpTraffic, of_a_product_reads_and_writes_each_operand_once) {
    EXPECT_EQ(traffic(matmul(Accumulate::no, Space::workspace), DType::bf16),
              Bytes{2LL * (21 + 35 + 15)});
    EXPECT_EQ(traffic(matmul(Accumulate::no, Space::workspace), DType::fp32),
              Bytes{4LL * (21 + 35 + 15)});
}

TEST(OpTraffic, of_an_accumulating_product_reads_its_fp32_gradient_too) {
    EXPECT_EQ(traffic(matmul(Accumulate::yes, Space::gradient), DType::bf16),
              Bytes{2 * (21 + 35) + 4 * 2 * 15});
}

TEST(OpTraffic, of_attention_never_touches_the_score_square) {
    const std::int64_t qkv = 2LL * 16 * (4 + 2 * 2) * 8;
    const std::int64_t context = 2LL * 16 * 4 * 8;
    const std::int64_t statistics = 2LL * 4 * 16;
    EXPECT_EQ(traffic(attention_forward(), DType::bf16),
              Bytes{2 * (qkv + context) + 4 * statistics});
    EXPECT_EQ(traffic(attention_backward(), DType::bf16),
              Bytes{2 * (2 * qkv + 2 * context) + 4 * statistics});
}

TEST(OpTraffic, of_attention_to_keys_apart_reads_no_keys_beside_the_queries) {
    const std::int64_t queries = 2LL * 16 * 4 * 8;
    const std::int64_t keys_values = 2LL * 6 * 2 * 2 * 8;
    const std::int64_t statistics = 2LL * 4 * 16;
    EXPECT_EQ(traffic(to_keys_apart(attention_forward()), DType::bf16),
              Bytes{2 * (2 * queries + keys_values) + 4 * statistics});
    EXPECT_EQ(traffic(to_keys_apart(attention_backward()), DType::bf16),
              Bytes{2 * (4 * queries + 2 * keys_values) + 4 * statistics});
}

TEST(OpTraffic, of_columns_touches_no_others) {
    const Elementwise slice{.kind = ElementwiseKind::slice_columns,
                            .rows = 4,
                            .columns = 3,
                            .reads = {in(Space::saved, 40)},
                            .writes = {in(Space::workspace, 12)}};
    EXPECT_EQ(traffic(slice, DType::bf16), Bytes{2LL * (12 + 12)});
}

TEST(OpTraffic, of_an_elementwise_kernel_adds_up_its_slices) {
    const Elementwise add{.kind = ElementwiseKind::residual_add,
                          .rows = 4,
                          .columns = 8,
                          .reads = {in(Space::saved, 32), in(Space::workspace, 32)},
                          .writes = {in(Space::workspace, 32)}};
    EXPECT_EQ(traffic(add, DType::bf16), Bytes{2LL * 3 * 32});
    EXPECT_EQ(traffic(add, DType::fp32), Bytes{4LL * 3 * 32});
}

TEST(OpTraffic, of_a_gradient_that_accumulates_counts_read_and_write) {
    const Elementwise bias{.kind = ElementwiseKind::bias_gradient,
                           .rows = 4,
                           .columns = 8,
                           .reads = {in(Space::workspace, 32)},
                           .writes = {in(Space::gradient, 8)}};
    EXPECT_EQ(traffic(bias, DType::bf16), Bytes{2 * 32 + 2 * 4 * 8});
    const Elementwise zero{.kind = ElementwiseKind::zero,
                           .rows = 1,
                           .columns = 8,
                           .reads = {},
                           .writes = {in(Space::gradient, 8)}};
    EXPECT_EQ(traffic(zero, DType::bf16), Bytes{4LL * 8});
}

TEST(OpTraffic, of_an_embedding_touches_one_row_per_token) {
    const Elementwise forward{
        .kind = ElementwiseKind::embedding_forward,
        .rows = 4,
        .columns = 8,
        .reads = {in(Space::parameter, 1000LL * 8), in(Space::parameter, 2LL * 8)},
        .writes = {in(Space::workspace, 4LL * 8)}};
    EXPECT_EQ(traffic(forward, DType::bf16), Bytes{2LL * (4 * 8 + 2 * 8 + 4 * 8)});
    const Elementwise backward{.kind = ElementwiseKind::embedding_backward,
                               .rows = 4,
                               .columns = 8,
                               .reads = {in(Space::workspace, 4LL * 8)},
                               .writes = {in(Space::gradient, 1000LL * 8)}};
    EXPECT_EQ(traffic(backward, DType::bf16), Bytes{2 * 4 * 8 + 2 * 4 * 4 * 8});
}

TEST(OpTraffic, of_adam_is_28_bytes_of_state_and_the_weight) {
    EXPECT_EQ(traffic(OptimizerStep{.elements = 10}, DType::bf16), Bytes{10LL * (28 + 2)});
    EXPECT_EQ(traffic(OptimizerStep{.elements = 10}, DType::fp32), Bytes{10LL * (28 + 4)});
}

TEST(Communication, carries_its_buffer_in_its_own_type) {
    const Slice buffer = in(Space::gradient, 100);
    EXPECT_EQ(payload(all_reduce_in_place(GroupId{3}, buffer, DType::fp32)), Bytes{400});
    EXPECT_EQ(
        payload(Send{.group = GroupId{3}, .peer = {}, .buffer = buffer, .dtype = DType::bf16}),
        Bytes{200});
    EXPECT_EQ(
        payload(Recv{.group = GroupId{3}, .peer = {}, .buffer = buffer, .dtype = DType::fp64}),
        Bytes{800});
}

TEST(Communication, knows_its_group) {
    EXPECT_EQ(group_id(all_reduce_in_place(GroupId{1}, {}, DType::fp32)), GroupId{1});
    EXPECT_EQ(group_id(Send{.group = GroupId{2}, .peer = {}, .buffer = {}}), GroupId{2});
    EXPECT_EQ(group_id(Recv{.group = GroupId{3}, .peer = {}, .buffer = {}}), GroupId{3});
}

}  // namespace
}  // namespace traindyno
