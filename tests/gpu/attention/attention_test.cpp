// SPDX-License-Identifier: Apache-2.0
// Attention on the GPU, fused and batched, against the textbook in double precision.
#include "emulator/device/cuda/attention/attention.hpp"

#include <cmath>
#include <span>

#include <gtest/gtest.h>

#include "tests/gpu/attention/attention_run.hpp"
#include "tests/gpu/require_gpu.hpp"
#include "tests/support/textbook_attention.hpp"

namespace traindyno::cuda {
namespace {

/// Half the distance between numbers near 1. Sums in fp32 over up to 2048 terms are granted 2^-19.
double roundoff(DType storage) {
    switch (storage) {
        case DType::bf16:
            return 0x1p-8;
        case DType::fp16:
            return 0x1p-11;
        default:
            return 0x1p-19;
    }
}

double norm(std::span<const double> x) {
    double sum = 0;
    for (const double value : x) {
        sum += value * value;
    }
    return std::sqrt(sum);
}

/// Compares vectors of `width` numbers one by one, so that a single wrong row or head is seen: the
/// difference's norm is at most `tolerance` of the vector's and the typical vector's together.
void expect_close(const std::vector<float>& actual,
                  const std::vector<double>& expected,
                  std::int64_t width,
                  double tolerance,
                  const char* what) {
    ASSERT_EQ(actual.size(), expected.size()) << what;
    const auto n = static_cast<std::size_t>(width);
    const auto vectors = static_cast<double>(expected.size() / n);
    const double typical = norm(expected) / std::sqrt(vectors);
    int wrong = 0;
    for (std::size_t first = 0; first < expected.size() && wrong < 3; first += n) {
        std::vector<double> difference(n);
        for (std::size_t i = 0; i < n; ++i) {
            difference[i] = static_cast<double>(actual[first + i]) - expected[first + i];
        }
        const double allowed = tolerance * (norm(std::span(expected).subspan(first, n)) + typical);
        const double error = norm(difference);
        if (!(error <= allowed)) {  // a NaN too
            ADD_FAILURE() << what << " vector " << first / n << " of " << vectors << " is off by "
                          << error << ", allowed are " << allowed;
            ++wrong;
        }
    }
}

void expect_close(const AttentionResults& results,
                  const TextbookAttention& textbook,
                  const AttentionShape& shape,
                  DType storage) {
    const double u = roundoff(storage);
    // Probabilities and the result are rounded, each to within u.
    expect_close(results.context, textbook.context, shape.head_size, 3 * u, "context");
    // Never in storage. exp2 and log2 approximate to 2^-22; scores of up to 11 add up in fp32.
    expect_close(results.statistics, textbook.statistics, 1, 1e-5, "statistics");
    // P, dS, O (in <dO, O>) and the result are rounded, each to within u; dP - <dO, O> magnifies.
    expect_close(results.grad_qkv, textbook.grad_qkv, shape.head_size, 8 * u, "grad_qkv");
    if (shape.keys_apart()) {
        expect_close(results.grad_keys_values,
                     textbook.grad_keys_values,
                     shape.head_size,
                     8 * u,
                     "grad_keys_values");
    }
}

struct Case {
    AttentionShape shape;
    Precision precision;
};

class AttentionCases : public testing::TestWithParam<Case> {
  protected:
    void SetUp() override {
        TD_REQUIRE_GPU();
        const auto& [shape, precision] = GetParam();
        storage_ = storage_type(precision);
        inputs_ = inputs_of(shape, storage_);
    }

    void expect_textbook(Attention& attention) const {
        const AttentionShape& shape = GetParam().shape;
        TextbookAttention textbook(shape, inputs_.qkv, inputs_.keys_values);
        textbook.run(inputs_.grad_context);
        for (const Launch launch : {Launch::eager, Launch::graph}) {
            expect_close(run_attention(attention, shape, storage_, inputs_, launch),
                         textbook,
                         shape,
                         storage_);
        }
    }

    DType storage_ = DType::fp32;
    AttentionInputs inputs_;
};

TEST_P(AttentionCases, batched_matches_the_textbook) {
    const AttentionFactory factory;
    expect_textbook(*factory.make_batched(GetParam().shape, GetParam().precision));
}

TEST_P(AttentionCases, fused_matches_the_textbook) {
    const AttentionFactory factory;
    const AttentionFactory::Made made = factory.make(GetParam().shape, GetParam().precision);
    if (storage_ == DType::fp32 || GetParam().shape.seq == 1) {
        EXPECT_EQ(made.method, AttentionMethod::batched);
        EXPECT_NE(made.reason, "");
        return;
    }
    if (factory.cudnn_version().empty()) {
        GTEST_SKIP() << made.reason;
    }
    ASSERT_EQ(made.method, AttentionMethod::fused) << made.reason;
    expect_textbook(*made.attention);
}

std::vector<Case> cases() {
    const std::vector<AttentionShape> shapes{
        {.batch = 2, .seq = 1, .heads = 3, .kv_heads = 3, .head_size = 64},
        {.batch = 2, .seq = 63, .heads = 3, .kv_heads = 1, .head_size = 64},
        {.batch = 3, .seq = 128, .heads = 12, .kv_heads = 12, .head_size = 64},
        {.batch = 3, .seq = 128, .heads = 12, .kv_heads = 4, .head_size = 128},
        {.batch = 1, .seq = 1000, .heads = 4, .kv_heads = 2, .head_size = 64},
        {.batch = 2, .seq = 2048, .heads = 1, .kv_heads = 1, .head_size = 128},
        {.batch = 2, .seq = 256, .heads = 4, .kv_heads = 2, .head_size = 64, .keys = 256},
        {.batch = 2,
         .seq = 63,
         .heads = 3,
         .kv_heads = 1,
         .head_size = 64,
         .keys = 130,
         .mask = AttentionMask::none},
        {.batch = 1,
         .seq = 1000,
         .heads = 4,
         .kv_heads = 4,
         .head_size = 128,
         .keys = 500,
         .mask = AttentionMask::none},
        {.batch = 1,
         .seq = 512,
         .heads = 8,
         .kv_heads = 2,
         .head_size = 128,
         .keys = 1024,
         .mask = AttentionMask::none}};
    std::vector<Case> all;
    for (const AttentionShape& shape : shapes) {
        for (const Precision precision : {Precision::bf16, Precision::fp16, Precision::fp32}) {
            all.push_back({.shape = shape, .precision = precision});
        }
    }
    return all;
}

std::string name_of(const testing::TestParamInfo<Case>& param) {
    const auto& [shape, precision] = param.param;
    return "b" + std::to_string(shape.batch) + "_s" + std::to_string(shape.seq) + "_a" +
           std::to_string(shape.heads) + "_kv" + std::to_string(shape.kv_heads) + "_d" +
           std::to_string(shape.head_size) + "_k" + std::to_string(shape.keys) + "_" +
           std::string(to_string(shape.mask)) + "_" + std::string(to_string(precision));
}

INSTANTIATE_TEST_SUITE_P(Shapes, AttentionCases, testing::ValuesIn(cases()), name_of);

class AttentionInParts : public testing::TestWithParam<AttentionMethod> {};

/// Larger than the textbook can do: several rounds of heads share each key head.
TEST(Attention, fused_and_batched_agree_on_a_long_sequence) {
    TD_REQUIRE_GPU();
    const AttentionShape shape{
        .batch = 1, .seq = 4096, .heads = 16, .kv_heads = 2, .head_size = 128};
    const AttentionFactory factory;
    const AttentionFactory::Made made = factory.make(shape, Precision::bf16);
    if (made.method != AttentionMethod::fused) {
        GTEST_SKIP() << made.reason;
    }
    const AttentionInputs inputs = inputs_of(shape, DType::bf16);
    const auto run = [&](Attention& attention) {
        return run_attention(attention, shape, DType::bf16, inputs, Launch::eager);
    };
    const auto batched_attention = factory.make_batched(shape, Precision::bf16);
    const AttentionResults fused = run(*made.attention);
    const AttentionResults batched = run(*batched_attention);
    const auto expect_agreement = [](const std::vector<float>& a,
                                     const std::vector<float>& b,
                                     std::int64_t width,
                                     double tolerance,
                                     const char* what) {
        expect_close(a, std::vector<double>(b.begin(), b.end()), width, tolerance, what);
    };
    const double u = roundoff(DType::bf16);
    // Twice what each may differ from the truth.
    expect_agreement(fused.context, batched.context, shape.head_size, 6 * u, "context");
    expect_agreement(fused.statistics, batched.statistics, 1, 2e-5, "statistics");
    expect_agreement(fused.grad_qkv, batched.grad_qkv, shape.head_size, 16 * u, "grad_qkv");
}

/// Halves of the keys, with the context and statistics over all: their gradients of the queries add
/// up to the whole's, those of the keys and values are parts of it.
TEST_P(AttentionInParts, has_the_gradients_of_the_whole) {
    TD_REQUIRE_GPU();
    const AttentionShape half{.batch = 1,
                              .seq = 256,
                              .heads = 4,
                              .kv_heads = 2,
                              .head_size = 64,
                              .keys = 192,
                              .mask = AttentionMask::none};
    AttentionShape both = half;
    both.keys = 2 * half.keys;
    const DType storage = DType::bf16;
    const AttentionInputs inputs = inputs_of(both, storage);
    TextbookAttention textbook(both, inputs.qkv, inputs.keys_values);
    textbook.run(inputs.grad_context);
    const WholeAttention whole{
        .context = {textbook.context.begin(), textbook.context.end()},
        .statistics = {textbook.statistics.begin(), textbook.statistics.end()}};
    const AttentionFactory factory;
    AttentionFactory::Made made = factory.make(half, Precision::bf16);
    if (GetParam() == AttentionMethod::batched) {
        made.attention = factory.make_batched(half, Precision::bf16);
    } else if (made.method != AttentionMethod::fused) {
        GTEST_SKIP() << made.reason;
    }
    const double tolerance = 8 * roundoff(storage);
    std::vector<float> grad_queries(textbook.grad_qkv.size());
    const std::ptrdiff_t size = half.keys * half.kv_width();
    for (const std::ptrdiff_t from : {std::ptrdiff_t{0}, size}) {
        AttentionInputs part = inputs;
        part.keys_values = {inputs.keys_values.begin() + from,
                            inputs.keys_values.begin() + from + size};
        const AttentionResults results =
            run_attention(*made.attention, half, storage, part, Launch::graph, &whole);
        expect_close(results.grad_keys_values,
                     {textbook.grad_keys_values.begin() + from,
                      textbook.grad_keys_values.begin() + from + size},
                     half.head_size,
                     tolerance,
                     "grad_keys_values");
        for (std::size_t i = 0; i < grad_queries.size(); ++i) {
            grad_queries[i] += results.grad_qkv[i];
        }
    }
    expect_close(grad_queries, textbook.grad_qkv, half.head_size, 2 * tolerance, "grad_queries");
}

INSTANTIATE_TEST_SUITE_P(Methods,
                         AttentionInParts,
                         testing::Values(AttentionMethod::fused, AttentionMethod::batched),
                         [](const auto& param) {
                             return param.param == AttentionMethod::fused ? "fused" : "batched";
                         });

/// A second gradient overwrites the first: nothing is added up between calls.
TEST(Attention, gives_the_same_results_again) {
    TD_REQUIRE_GPU();
    const AttentionShape shape{.batch = 1, .seq = 256, .heads = 4, .kv_heads = 2, .head_size = 64};
    const AttentionFactory factory;
    const auto attention = factory.make_batched(shape, Precision::bf16);
    const AttentionInputs inputs = inputs_of(shape, DType::bf16);
    const auto run = [&] {
        return run_attention(*attention, shape, DType::bf16, inputs, Launch::eager);
    };
    const AttentionResults first = run();
    const AttentionResults second = run();
    EXPECT_EQ(first.context, second.context);
    EXPECT_EQ(first.grad_qkv, second.grad_qkv);
}

}  // namespace
}  // namespace traindyno::cuda
