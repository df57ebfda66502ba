// SPDX-License-Identifier: Apache-2.0
// What may be folded, and each of its conditions broken in turn.
#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/device/kernel_plan/folds.hpp"

namespace traindyno {
namespace {

constexpr std::int64_t rows = 2;
constexpr std::int64_t columns = 3;
constexpr std::int64_t depth = 4;
constexpr std::int64_t rows_by_depth = rows * depth;
constexpr std::int64_t rows_by_columns = rows * columns;

Slice scratch(std::int64_t offset, std::int64_t elements) {
    return {.space = Space::workspace, .offset = offset, .elements = elements};
}

Slice weights(std::int64_t offset, std::int64_t elements) {
    return {.space = Space::parameter, .offset = offset, .elements = elements};
}

const Slice left = scratch(0, rows_by_depth);
const Slice result = scratch(100, rows_by_columns);
const Slice activated = scratch(200, rows_by_columns);
const Slice before_gelu = scratch(300, rows_by_columns);
const Slice elsewhere = scratch(400, rows_by_columns);
const Slice bias_sum{.space = Space::gradient, .offset = 900, .elements = columns};

BlockOp computes(ComputeOp op) {
    return {.op = std::move(op), .lane = Lane::compute, .phase = Phase::forward, .after = {}};
}

BlockOp product() {
    return computes(MatMul{.m = rows,
                           .n = columns,
                           .k = depth,
                           .a = left,
                           .b = weights(0, depth * columns),
                           .c = result});
}

BlockOp elementwise(ElementwiseKind kind, std::vector<Slice> reads, std::vector<Slice> writes) {
    return computes(Elementwise{.kind = kind,
                                .rows = rows,
                                .columns = columns,
                                .reads = std::move(reads),
                                .writes = std::move(writes)});
}

BlockOp reduces(const Slice& buffer, Ops after) {
    return {.op = CommOp{all_reduce_in_place(GroupId{0}, buffer, DType::fp32)},
            .lane = Lane::tp,
            .phase = Phase::forward,
            .after = std::move(after)};
}

BlockOp copies(const Slice& from, const Slice& to) {
    return elementwise(ElementwiseKind::residual_add, {from, from}, {to});
}

Block forward_block() {
    return {
        .name = "by hand",
        .ops = {product(),
                elementwise(ElementwiseKind::bias_add, {result, weights(50, columns)}, {result}),
                elementwise(ElementwiseKind::gelu_forward, {result}, {activated})}};
}

Block backward_block() {
    return {.name = "by hand",
            .ops = {product(),
                    elementwise(ElementwiseKind::gelu_backward, {before_gelu, result}, {activated}),
                    elementwise(ElementwiseKind::bias_gradient, {activated}, {bias_sum})}};
}

template <class T>
T& compute_at(Block& block, std::size_t op) {
    return std::get<T>(std::get<ComputeOp>(block.ops[op].op));
}

void insert(Block& block, std::size_t position, BlockOp op) {
    block.ops.insert(block.ops.begin() + static_cast<std::ptrdiff_t>(position), std::move(op));
}

std::vector<Folded> folds(const Block& block, const IntervalSet& live_after = {}) {
    return folds_of(plan_block(block, live_after, everything));
}

const std::vector<Folded> none_folded;

/// The block after each change, which must leave `remains` of what could be folded.
struct Broken {
    std::string what;
    std::function<void(Block&)> change;
    std::vector<Folded> remains;
};

const std::vector<Folded> only_bias{{Fold::bias, {0, 1}}};

std::vector<Broken> broken_bias() {
    return {
        {"bias of another length",
         [](Block& b) { compute_at<Elementwise>(b, 1).reads[1].elements = columns - 1; },
         none_folded},
        {"bias on left part of the product",
         [](Block& b) { compute_at<Elementwise>(b, 1).rows = rows - 1; },
         none_folded},
        {"bias elsewhere",
         [](Block& b) {
             compute_at<Elementwise>(b, 1).reads[0] = elsewhere;
             compute_at<Elementwise>(b, 1).writes[0] = elsewhere;
         },
         none_folded},
        {"accumulated product",
         [](Block& b) { compute_at<MatMul>(b, 0).accumulate = Accumulate::yes; },
         none_folded},
        {"another phase", [](Block& b) { b.ops[1].phase = Phase::recompute; }, none_folded},
        {"bias waits for communication",
         [](Block& b) {
             insert(b, 1, reduces(elsewhere, {0}));
             b.ops[2].after = {1};
         },
         none_folded},
        {"product is communicated before the bias",
         [](Block& b) { insert(b, 1, reduces(result, {0})); },
         none_folded},
        {"product is read before the bias",
         [](Block& b) { insert(b, 1, copies(result, elsewhere)); },
         none_folded},
        {"bias is written in between",
         [](Block& b) { insert(b, 1, copies(elsewhere, weights(50, columns))); },
         none_folded},
    };
}

std::vector<Broken> broken_gelu() {
    return {
        {"gelu of something else",
         [](Block& b) { compute_at<Elementwise>(b, 2).reads[0] = elsewhere; },
         only_bias},
        {"gelu in place",
         [](Block& b) { compute_at<Elementwise>(b, 2).writes[0] = result; },
         only_bias},
        {"gelu into an operand of the product",
         [](Block& b) { compute_at<Elementwise>(b, 2).writes[0] = scratch(4, rows_by_columns); },
         only_bias},
        {"gelu overwrites what is read in between",
         [](Block& b) { insert(b, 2, copies(activated, elsewhere)); },
         only_bias},
    };
}

void expect_remains(const Block& whole, const std::vector<Broken>& all) {
    for (const Broken& broken : all) {
        Block block = whole;
        broken.change(block);
        EXPECT_EQ(folds(block), broken.remains) << broken.what;
    }
}

TEST(Fusion, needs_every_condition_of_a_forward_fold) {
    ASSERT_EQ(folds(forward_block()), (std::vector<Folded>{{Fold::bias_gelu, {0, 1, 2}}}));
    expect_remains(forward_block(), broken_bias());
    expect_remains(forward_block(), broken_gelu());
}

std::vector<Broken> broken_gelu_backward() {
    return {
        {"product is read in between",
         [](Block& b) { insert(b, 1, copies(result, elsewhere)); },
         none_folded},
        {"product is read afterwards",
         [](Block& b) { insert(b, 3, copies(result, elsewhere)); },
         none_folded},
        {"product is sent afterwards",
         [](Block& b) {
             b.ops.push_back(
                 {.op = CommOp{Send{.group = GroupId{0}, .peer = GroupRank{0}, .buffer = result}},
                  .lane = Lane::pp_send_backward,
                  .phase = Phase::forward,
                  .after = {0}});
         },
         none_folded},
        {"product is kept for later tasks",
         [](Block& b) {
             compute_at<MatMul>(b, 0).c.space = Space::saved;
             compute_at<Elementwise>(b, 1).reads[1].space = Space::saved;
         },
         none_folded},
        {"gradient of something else",
         [](Block& b) { compute_at<Elementwise>(b, 1).reads[1] = elsewhere; },
         none_folded},
        {"values before gelu are written in between",
         [](Block& b) { insert(b, 1, copies(elsewhere, before_gelu)); },
         none_folded},
        {"gradient into an operand of the product",
         [](Block& b) {
             compute_at<Elementwise>(b, 1).writes[0] = scratch(4, rows_by_columns);
             compute_at<Elementwise>(b, 2).reads[0] = scratch(4, rows_by_columns);
         },
         none_folded},
    };
}

std::vector<Broken> broken_bias_gradient() {
    const std::vector<Folded> without_bias{{Fold::gelu_backward, {0, 1}}};
    return {
        {"gradient changes before it is summed",
         [](Block& b) { insert(b, 2, copies(elsewhere, activated)); },
         without_bias},
        {"sum of something else",
         [](Block& b) { compute_at<Elementwise>(b, 2).reads[0] = elsewhere; },
         without_bias},
        {"sum is used in between",
         [](Block& b) { insert(b, 2, copies(bias_sum, elsewhere)); },
         without_bias},
    };
}

TEST(Fusion, needs_every_condition_of_a_backward_fold) {
    ASSERT_EQ(folds(backward_block()),
              (std::vector<Folded>{{Fold::gelu_backward_bias_gradient, {0, 1, 2}}}));
    expect_remains(backward_block(), broken_gelu_backward());
    expect_remains(backward_block(), broken_bias_gradient());
}

TEST(Fusion, keeps_a_product_that_later_tasks_read) {
    IntervalSet live;
    live.add(result.offset + result.elements, 1000);
    EXPECT_EQ(folds(backward_block(), live).size(), 1U);
    live.add(result.offset + result.elements - 1, result.offset + result.elements);
    EXPECT_TRUE(folds(backward_block(), live).empty());

    Block overwritten = backward_block();
    overwritten.ops.push_back(copies(before_gelu, result));
    EXPECT_EQ(folds(overwritten, live).size(), 1U);
}

TEST(Fusion, respects_order_that_another_operation_waited_for) {
    // 0 receives what 3 reads; 2 waits for it, so that 3 need not.
    Block block = forward_block();
    insert(block, 1, copies(elsewhere, before_gelu));
    insert(block, 0, reduces(weights(50, columns), {}));
    block.ops[2].after = {0};
    EXPECT_TRUE(folds(block).empty());
    block.ops[2].after = {};
    block.ops[1].after = {0};  // the product itself waits
    EXPECT_EQ(folds(block), (std::vector<Folded>{{Fold::bias_gelu, {1, 3, 4}}}));
}

TEST(Fusion, says_what_a_step_reads_and_writes) {
    const BlockPlan forward = plan_block(forward_block(), {}, everything);
    EXPECT_EQ(forward.steps,
              (std::vector<KernelStep>{{.ops = {0, 1, 2},
                                        .fold = Fold::bias_gelu,
                                        .output = activated,
                                        .bias = weights(50, columns),
                                        .auxiliary = result}}));
    const BlockPlan backward = plan_block(backward_block(), {}, everything);
    EXPECT_EQ(backward.steps,
              (std::vector<KernelStep>{{.ops = {0, 1, 2},
                                        .fold = Fold::gelu_backward_bias_gradient,
                                        .output = activated,
                                        .bias = bias_sum,
                                        .auxiliary = before_gelu}}));
}

}  // namespace
}  // namespace traindyno
