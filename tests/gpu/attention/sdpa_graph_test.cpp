// SPDX-License-Identifier: Apache-2.0
// The graphs given to cuDNN mean attention: interpreted on the host, they equal the textbook.
#include "emulator/device/cuda/attention/sdpa_graph.hpp"

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

class SdpaGraph : public testing::TestWithParam<AttentionShape> {};

TEST_P(SdpaGraph, means_attention) {
    const AttentionShape shape = GetParam();
    const std::int64_t tokens = shape.batch * shape.seq;
    const std::vector<float> inputs = random_numbers(tokens * shape.qkv_width(), 1);
    const std::vector<float> gradients = random_numbers(tokens * shape.context_width(), 2);
    TextbookAttention textbook(shape, inputs);
    textbook.run(gradients);

    std::vector<double> qkv(inputs.begin(), inputs.end());
    std::vector<double> grad_context(gradients.begin(), gradients.end());
    std::vector<double> context(grad_context.size(), NAN);
    std::vector<double> statistics(textbook.statistics.size(), NAN);
    std::vector<double> grad_qkv(qkv.size(), NAN);
    std::vector<double> projection(statistics.size(), NAN);
    std::vector<double> grad_queries_sum(context.size(), NAN);
    const std::int64_t keys = shape.heads * shape.head_size;
    const std::int64_t values = keys + shape.kv_heads * shape.head_size;
    const auto run = [&](const CudnnGraph& graph) {
        GraphInterpreter interpreter(graph);
        const auto bind = [&](SdpaTensor tensor, std::vector<double>& data, std::int64_t at = 0) {
            interpreter.bind(static_cast<std::int64_t>(tensor), data.data() + at);
        };
        bind(SdpaTensor::queries, qkv);
        bind(SdpaTensor::keys, qkv, keys);
        bind(SdpaTensor::values, qkv, values);
        bind(SdpaTensor::context, context);
        bind(SdpaTensor::statistics, statistics);
        bind(SdpaTensor::grad_context, grad_context);
        bind(SdpaTensor::grad_queries, grad_qkv);
        bind(SdpaTensor::grad_keys, grad_qkv, keys);
        bind(SdpaTensor::grad_values, grad_qkv, values);
        bind(SdpaTensor::projection, projection);
        bind(SdpaTensor::grad_queries_sum, grad_queries_sum);
        interpreter.run();
    };
    run(forward_graph(shape, DType::bf16));
    expect_near(context, textbook.context);
    expect_near(statistics, textbook.statistics);
    run(backward_graph(shape, DType::bf16));
    expect_near(grad_qkv, textbook.grad_qkv);
}

INSTANTIATE_TEST_SUITE_P(
    Shapes,
    SdpaGraph,
    testing::Values(AttentionShape{.batch = 1, .seq = 5, .heads = 1, .kv_heads = 1, .head_size = 8},
                    AttentionShape{.batch = 2, .seq = 9, .heads = 3, .kv_heads = 3, .head_size = 8},
                    AttentionShape{
                        .batch = 2, .seq = 12, .heads = 6, .kv_heads = 2, .head_size = 16}),
    [](const auto& param) { return "heads" + std::to_string(param.param.heads); });

}  // namespace
}  // namespace traindyno::cuda
