// SPDX-License-Identifier: Apache-2.0
// The graphs given to cuDNN mean attention: interpreted on the host, they equal the textbook.
#include "emulator/device/cuda/attention/sdpa_graph.hpp"

#include <optional>
#include <random>

#include <gtest/gtest.h>

#include "tests/gpu/attention/graph_interpreter.hpp"
#include "tests/support/textbook_attention.hpp"

namespace traindyno::cuda {
namespace {

std::vector<float> random_numbers(std::int64_t count, unsigned seed) {
    std::mt19937 generator(seed);
    std::uniform_real_distribution<float> uniform(-1, 1);
    std::vector<float> numbers(static_cast<std::size_t>(count));
    for (float& number : numbers) {
        number = uniform(generator);
    }
    return numbers;
}

void expect_near(const std::vector<double>& actual, const std::vector<double>& expected) {
    ASSERT_EQ(actual.size(), expected.size());
    for (std::size_t i = 0; i < actual.size(); ++i) {
        ASSERT_NEAR(actual[i], expected[i], 1e-6) << "element " << i;  // the scale is in fp32
    }
}

/// The operands of one attention, and what its graphs make of them.
struct Arrays {
    std::vector<double> qkv;
    std::vector<double> keys_values;  ///< empty where they are not apart
    std::vector<double> grad_context;
    std::vector<double> context{};
    std::vector<double> statistics{};
    std::vector<double> grad_qkv{};
    std::vector<double> grad_keys_values{};
};

std::vector<double> nans(std::int64_t count) {
    return std::vector<double>(static_cast<std::size_t>(count), NAN);
}

void run(const CudnnGraph& graph, const AttentionShape& shape, Arrays& at) {
    const bool apart = shape.keys_apart();
    const std::int64_t keys = apart ? 0 : shape.heads * shape.head_size;
    const std::int64_t values = keys + shape.kv_heads * shape.head_size;
    std::vector<double> projection = nans(shape.batch * shape.heads * shape.seq);
    std::vector<double> grad_queries_sum = nans(shape.batch * shape.seq * shape.context_width());
    GraphInterpreter interpreter(graph);
    const auto bind = [&](SdpaTensor tensor, std::vector<double>& data, std::int64_t from = 0) {
        interpreter.bind(static_cast<std::int64_t>(tensor), data.data() + from);
    };
    bind(SdpaTensor::queries, at.qkv);
    bind(SdpaTensor::keys, apart ? at.keys_values : at.qkv, keys);
    bind(SdpaTensor::values, apart ? at.keys_values : at.qkv, values);
    bind(SdpaTensor::context, at.context);
    bind(SdpaTensor::statistics, at.statistics);
    bind(SdpaTensor::grad_context, at.grad_context);
    bind(SdpaTensor::grad_queries, at.grad_qkv);
    bind(SdpaTensor::grad_keys, apart ? at.grad_keys_values : at.grad_qkv, keys);
    bind(SdpaTensor::grad_values, apart ? at.grad_keys_values : at.grad_qkv, values);
    bind(SdpaTensor::projection, projection);
    bind(SdpaTensor::grad_queries_sum, grad_queries_sum);
    interpreter.run();
}

void forward(const AttentionShape& shape, Arrays& at) {
    at.context = nans(shape.batch * shape.seq * shape.context_width());
    at.statistics = nans(shape.batch * shape.heads * shape.seq);
    run(forward_graph(shape, DType::bf16), shape, at);
}

/// Reads the context and statistics in `at`.
void backward(const AttentionShape& shape, Arrays& at) {
    at.grad_qkv = nans(shape.batch * shape.seq * shape.grad_query_width());
    at.grad_keys_values = nans(static_cast<std::int64_t>(at.keys_values.size()));
    run(backward_graph(shape, DType::bf16), shape, at);
}

class SdpaGraph : public testing::TestWithParam<AttentionShape> {
  protected:
    void SetUp() override {
        const AttentionShape& shape = GetParam();
        const std::int64_t tokens = shape.batch * shape.seq;
        const std::int64_t apart =
            shape.keys_apart() ? shape.batch * shape.key_rows() * shape.kv_width() : 0;
        const std::vector<float> qkv = random_numbers(tokens * shape.qkv_width(), 1);
        const std::vector<float> gradients = random_numbers(tokens * shape.context_width(), 2);
        const std::vector<float> keys_values = random_numbers(apart, 3);
        textbook_.emplace(shape, qkv, keys_values);
        textbook_->run(gradients);
        arrays_ = {.qkv = {qkv.begin(), qkv.end()},
                   .keys_values = {keys_values.begin(), keys_values.end()},
                   .grad_context = {gradients.begin(), gradients.end()}};
    }

    std::optional<TextbookAttention> textbook_;
    Arrays arrays_;
};

TEST_P(SdpaGraph, means_attention) {
    forward(GetParam(), arrays_);
    expect_near(arrays_.context, textbook_->context);
    expect_near(arrays_.statistics, textbook_->statistics);
    backward(GetParam(), arrays_);
    expect_near(arrays_.grad_qkv, textbook_->grad_qkv);
    expect_near(arrays_.grad_keys_values, textbook_->grad_keys_values);
}

/// Without a mask, and with an even number of keys.
class SdpaGraphInParts : public SdpaGraph {};

/// Partial attentions over halves of the keys, with the whole's context and statistics: their
/// gradients of the queries add up to the whole's, those of the keys and values are parts of it.
TEST_P(SdpaGraphInParts, gives_the_gradients_of_the_whole) {
    const AttentionShape& whole = GetParam();
    forward(whole, arrays_);
    AttentionShape half = whole;
    half.batch = 1;
    half.keys = whole.keys / 2;
    const auto cut = [](const std::vector<double>& from, std::int64_t part, std::int64_t parts) {
        const auto size = static_cast<std::int64_t>(from.size()) / parts;
        return std::vector<double>(from.begin() + part * size, from.begin() + (part + 1) * size);
    };
    for (std::int64_t b = 0; b < whole.batch; ++b) {
        std::vector<double> grad_queries(textbook_->grad_qkv.size() /
                                         static_cast<std::size_t>(whole.batch));
        for (std::int64_t part = 2 * b; part < 2 * b + 2; ++part) {
            Arrays at{.qkv = cut(arrays_.qkv, b, whole.batch),
                      .keys_values = cut(arrays_.keys_values, part, 2 * whole.batch),
                      .grad_context = cut(arrays_.grad_context, b, whole.batch),
                      .context = cut(arrays_.context, b, whole.batch),
                      .statistics = cut(arrays_.statistics, b, whole.batch)};
            backward(half, at);
            expect_near(at.grad_keys_values,
                        cut(textbook_->grad_keys_values, part, 2 * whole.batch));
            for (std::size_t i = 0; i < grad_queries.size(); ++i) {
                grad_queries[i] += at.grad_qkv[i];
            }
        }
        expect_near(grad_queries, cut(textbook_->grad_qkv, b, whole.batch));
    }
}

constexpr AttentionShape partial{.batch = 1,
                                 .seq = 5,
                                 .heads = 2,
                                 .kv_heads = 2,
                                 .head_size = 8,
                                 .keys = 10,
                                 .mask = AttentionMask::none};

AttentionShape with(AttentionShape shape, std::int64_t batch, std::int64_t heads) {
    shape.batch = batch;
    shape.heads = heads;
    return shape;
}

AttentionShape with_keys(AttentionShape shape, std::int64_t keys, AttentionMask mask) {
    shape.keys = keys;
    shape.mask = mask;
    return shape;
}

std::string name_of(const testing::TestParamInfo<AttentionShape>& param) {
    const AttentionShape& shape = param.param;
    return "b" + std::to_string(shape.batch) + "_a" + std::to_string(shape.heads) + "_kv" +
           std::to_string(shape.kv_heads) + "_s" + std::to_string(shape.seq) + "_k" +
           std::to_string(shape.keys) + "_" + std::string(to_string(shape.mask));
}

INSTANTIATE_TEST_SUITE_P(
    Shapes,
    SdpaGraph,
    testing::Values(AttentionShape{.batch = 1, .seq = 5, .heads = 1, .kv_heads = 1, .head_size = 8},
                    AttentionShape{.batch = 2, .seq = 9, .heads = 3, .kv_heads = 3, .head_size = 8},
                    AttentionShape{
                        .batch = 2, .seq = 12, .heads = 6, .kv_heads = 2, .head_size = 16},
                    partial,
                    with(partial, 2, 4),
                    with_keys(partial, 4, AttentionMask::none),
                    with_keys(with(partial, 3, 6), 5, AttentionMask::causal)),
    name_of);

INSTANTIATE_TEST_SUITE_P(Shapes,
                         SdpaGraphInParts,
                         testing::Values(partial,
                                         with(partial, 2, 4),
                                         with_keys(partial, 4, AttentionMask::none)),
                         name_of);

}  // namespace
}  // namespace traindyno::cuda
