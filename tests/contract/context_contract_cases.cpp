// SPDX-License-Identifier: Apache-2.0
// What every Device promises of attention over a sequence in parts.
#include <algorithm>
#include <array>
#include <cmath>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "emulator/device/random_values.hpp"
#include "tests/contract/device_contract.hpp"
#include "tests/support/textbook_attention.hpp"

namespace traindyno::test {
namespace {

constexpr std::int64_t quarter = 16;
constexpr std::int64_t half = 2 * quarter;
constexpr AttentionShape whole{
    .batch = 1, .seq = 4 * quarter, .heads = 4, .kv_heads = 2, .head_size = 16};
constexpr std::int64_t qkv_width = 128;
constexpr std::int64_t context_width = 64;
constexpr std::int64_t kv_width = 64;

/// Memory of the two halves of a sequence of four quarters: 0 and 3, and 1 and 2.
struct Half {
    Slice qkv;
    Slice keys_values;
    Slice context;
    Slice statistics;
    Slice grad_context;
    Slice grad_queries;
    Slice grad_keys_values;
    Slice grad_qkv;
};

Slice rows(const Slice& all, std::int64_t first, std::int64_t count, std::int64_t width) {
    return {.space = all.space, .offset = all.offset + first * width, .elements = count * width};
}

/// Attention of both halves to both, forward and backward: to their own keys with the mask, to the
/// other's without.
class Parts {
  public:
    explicit Parts(StepProgram program) : program_(std::move(program)) {
        for (Half& own : halves_) {
            own = {.qkv = take(half * qkv_width),
                   .keys_values = take(half * kv_width),
                   .context = take(half * context_width),
                   .statistics = take(half * whole.heads),
                   .grad_context = take(half * context_width),
                   .grad_queries = take(half * context_width),
                   .grad_keys_values = take(half * kv_width),
                   .grad_qkv = take(half * qkv_width)};
        }
        context_ = take(half * context_width);
        statistics_ = take(half * whole.heads);
        keys_values_ = take(half * kv_width);
        for (const Half& own : halves_) {
            elementwise(
                ElementwiseKind::slice_columns, half, kv_width, {own.qkv}, {own.keys_values});
        }
        forward();
        backward();
        for (const Half& own : halves_) {
            elementwise(ElementwiseKind::join_columns,
                        half,
                        qkv_width,
                        {own.grad_queries, own.grad_keys_values},
                        {own.grad_qkv});
        }
        program_.extents.workspace = end_;
    }

    [[nodiscard]] const StepProgram& program() const { return program_; }

    [[nodiscard]] const std::array<Half, 2>& halves() const { return halves_; }

  private:
    Slice take(std::int64_t elements) {
        const Slice slice{.offset = end_, .elements = elements};
        end_ += elements;
        return slice;
    }

    void add(const ComputeOp& op) {
        program_.blocks.front().ops.push_back({.op = Op{op}, .after = {}});
    }

    void elementwise(ElementwiseKind kind,
                     std::int64_t count,
                     std::int64_t columns,
                     std::vector<Slice> reads,
                     std::vector<Slice> writes) {
        add(Elementwise{.kind = kind,
                        .rows = count,
                        .columns = columns,
                        .reads = std::move(reads),
                        .writes = std::move(writes)});
    }

    /// `queries` are the last of `own`, `keys` the first of `other`.
    AttentionForward forward_to(const Half& own,
                                const Half& other,
                                std::int64_t queries,
                                std::int64_t keys) {
        const std::int64_t first = half - queries;
        return {.batch = 1,
                .seq = queries,
                .heads = whole.heads,
                .kv_heads = whole.kv_heads,
                .head_size = whole.head_size,
                .keys = keys,
                .mask = AttentionMask::none,
                .qkv = rows(own.qkv, first, queries, qkv_width),
                .context = rows(context_, 0, queries, context_width),
                .statistics = rows(statistics_, 0, queries, whole.heads),
                .keys_values = rows(other.keys_values, 0, keys, kv_width)};
    }

    void forward() {
        for (const Half& own : halves_) {
            AttentionForward op = forward_to(own, own, half, half);
            op.mask = AttentionMask::causal;
            op.context = own.context;
            op.statistics = own.statistics;
            add(op);
        }
        const auto merge = [&](const Half& own, const Half& other, auto queries, auto keys) {
            const AttentionForward op = forward_to(own, other, queries, keys);
            const Slice sum = rows(own.context, half - queries, queries, context_width);
            add(op);
            elementwise(ElementwiseKind::attention_merge,
                        queries,
                        context_width,
                        {sum, own.statistics, op.context, op.statistics},
                        {sum, own.statistics});
        };
        merge(halves_[0], halves_[1], quarter, half);
        merge(halves_[1], halves_[0], half, quarter);
    }

    AttentionBackward backward_to(const Half& own,
                                  const Half& other,
                                  std::int64_t queries,
                                  std::int64_t keys) {
        const AttentionForward op = forward_to(own, other, queries, keys);
        const std::int64_t first = half - queries;
        return {.batch = op.batch,
                .seq = op.seq,
                .heads = op.heads,
                .kv_heads = op.kv_heads,
                .head_size = op.head_size,
                .keys = op.keys,
                .mask = op.mask,
                .qkv = op.qkv,
                .context = rows(own.context, first, queries, context_width),
                .statistics = own.statistics,
                .grad_context = rows(own.grad_context, first, queries, context_width),
                .grad_qkv = op.context,
                .keys_values = op.keys_values,
                .grad_keys_values = rows(keys_values_, 0, keys, kv_width)};
    }

    void backward() {
        for (const Half& own : halves_) {
            AttentionBackward op = backward_to(own, own, half, half);
            op.mask = AttentionMask::causal;
            op.grad_qkv = own.grad_queries;
            op.grad_keys_values = own.grad_keys_values;
            add(op);
        }
        const auto sum = [&](const AttentionBackward& op, const Half& own, const Half& other) {
            const Slice queries = rows(own.grad_queries, half - op.seq, op.seq, context_width);
            const Slice keys = rows(other.grad_keys_values, 0, op.keys, kv_width);
            add(op);
            const auto accumulate = [&](auto count, const Slice& total, const Slice& part) {
                elementwise(ElementwiseKind::gradient_add, count, 64, {total, part}, {total});
            };
            accumulate(op.seq, queries, op.grad_qkv);
            accumulate(op.keys, keys, op.grad_keys_values);
        };
        AttentionBackward last = backward_to(halves_[0], halves_[1], quarter, half);
        last.statistics = rows(statistics_, 0, quarter, whole.heads);
        elementwise(ElementwiseKind::slice_columns,
                    whole.heads,
                    quarter,
                    {halves_[0].statistics},
                    {last.statistics});
        sum(last, halves_[0], halves_[1]);
        sum(backward_to(halves_[1], halves_[0], half, quarter), halves_[1], halves_[0]);
    }

    StepProgram program_;
    std::array<Half, 2> halves_;
    Slice context_;  ///< over one half's keys; in backward the gradient of the queries
    Slice statistics_;
    Slice keys_values_;  ///< gradient from one half's queries
    std::int64_t end_ = 0;
};

/// Row `row` of half `index` is this token of the sequence.
std::int64_t token_of(std::size_t index, std::int64_t row) {
    const std::int64_t part = index == 0 ? (row < quarter ? 0 : 3) : 1 + row / quarter;
    return part * quarter + row % quarter;
}

/// `width` values of each of a half's tokens.
std::vector<float> half_of(const std::vector<float>& all, std::size_t index, std::int64_t width) {
    std::vector<float> values;
    for (std::int64_t row = 0; row < half; ++row) {
        const auto first = all.begin() + token_of(index, row) * width;
        values.insert(values.end(), first, first + width);
    }
    return values;
}

std::vector<float> random_values(std::int64_t count, std::uint32_t seed) {
    std::vector<float> values;
    for (std::int64_t i = 0; i < count; ++i) {
        values.push_back(normal_value(seed, static_cast<std::uint32_t>(i), 1.0F));
    }
    return values;
}

void expect_close(const std::vector<float>& found, const std::vector<float>& expected) {
    double worst = 0;
    for (std::size_t i = 0; i < found.size(); ++i) {
        worst = std::max(worst, std::abs(static_cast<double>(found[i]) - expected[i]));
    }
    EXPECT_LT(worst, 2e-4);
}

TEST_P(DeviceContract, attends_to_parts_of_a_sequence_as_to_the_whole) {
    const Parts parts(work(0));
    const std::vector<float> qkv = random_values(whole.seq * qkv_width, 1);
    const std::vector<float> grad_context = random_values(whole.seq * context_width, 2);
    const auto device = make();
    device->prepare(parts.program());
    const auto copy = [&](CopyDirection way, const Slice& slice, std::vector<float>& host) {
        device->copy(
            way, slice, task_of(parts.program()), 1, std::as_writable_bytes(std::span(host)));
    };
    for (std::size_t index = 0; index < 2; ++index) {
        std::vector<float> own_qkv = half_of(qkv, index, qkv_width);
        std::vector<float> own_gradient = half_of(grad_context, index, context_width);
        copy(CopyDirection::to_device, parts.halves()[index].qkv, own_qkv);
        copy(CopyDirection::to_device, parts.halves()[index].grad_context, own_gradient);
    }
    submit_all(*device, parts.program());
    wait_for(*device, static_cast<Ticket>(parts.program().blocks.front().ops.size()));
    if (device->info().kind == "timed") {
        return;  // it computes nothing
    }
    TextbookAttention reference(whole, qkv);
    reference.run(grad_context);
    const std::vector<float> context(reference.context.begin(), reference.context.end());
    const std::vector<float> gradient(reference.grad_qkv.begin(), reference.grad_qkv.end());
    for (std::size_t index = 0; index < 2; ++index) {
        std::vector<float> found(half * context_width);
        copy(CopyDirection::to_host, parts.halves()[index].context, found);
        expect_close(found, half_of(context, index, context_width));
        found.resize(half * qkv_width);
        copy(CopyDirection::to_host, parts.halves()[index].grad_qkv, found);
        expect_close(found, half_of(gradient, index, qkv_width));
    }
}

}  // namespace
}  // namespace traindyno::test
