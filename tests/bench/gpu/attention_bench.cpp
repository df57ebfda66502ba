// SPDX-License-Identifier: Apache-2.0
// Causal attention of a large model's layer (bf16, 64 heads of 128, one sequence): fused and
// batched.
//
//     attention_bench [rounds]
//
// TFLOP/s count the half of the score square that is not masked, as the published table does:
// 2 b a s s d for forward's two products, 2.5 times that for backward's five. Published are cuDNN
// 9.19's rates on an H200 in NVIDIA/cudnn-frontend,
// benchmark/sdpa_benchmark_training/results/h200_919_only_cudnn. Operands are normal random
// numbers: zeros draw less power and run faster. Exit code 1 when fused attention is not available
// or slower than batched.
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include <cuda_bf16.h>
#include <fmt/format.h>

#include "emulator/device/cuda/attention/attention.hpp"
#include "emulator/device/cuda/runtime.hpp"
#include "tests/bench/gpu/figures.hpp"

namespace traindyno::cuda {
namespace {

struct Published {
    std::int64_t seq;
    double forward;   ///< TFLOP/s
    double backward;  ///< TFLOP/s
};

constexpr Published table[] = {{2048, 484, 370}, {4096, 591, 474}, {8192, 644, 541}};

AttentionShape shape_of_length(std::int64_t seq) {
    return {.batch = 1, .seq = seq, .heads = 64, .kv_heads = 64, .head_size = 128};
}

double forward_tflop(const AttentionShape& s) {
    return 2e-12 * static_cast<double>(s.batch * s.heads * s.head_size) *
           static_cast<double>(s.seq * s.seq);
}

DeviceBytes normal_bf16(std::int64_t count, unsigned seed) {
    std::minstd_rand generator(seed);
    std::normal_distribution<float> normal;
    std::vector<__nv_bfloat16> numbers(static_cast<std::size_t>(count));
    for (__nv_bfloat16& number : numbers) {
        number = __float2bfloat16(normal(generator));
    }
    DeviceBytes memory(size_of(count, DType::bf16));
    TD_CUDA(cudaMemcpy(memory.data(),
                       numbers.data(),
                       numbers.size() * sizeof(__nv_bfloat16),
                       cudaMemcpyHostToDevice));
    return memory;
}

/// Operands of one attention on the device.
struct Operands {
    Operands(const AttentionShape& shape, Bytes workspace_size)
        : qkv(normal_bf16(shape.batch * shape.seq * shape.qkv_width(), 1)),
          grad_context(normal_bf16(shape.batch * shape.seq * shape.context_width(), 2)),
          context(grad_context.size()),
          statistics(size_of(shape.batch * shape.heads * shape.seq, DType::fp32)),
          grad_qkv(qkv.size()),
          workspace(workspace_size) {}

    [[nodiscard]] AttentionArguments arguments() const {
        return {.qkv = qkv.data(),
                .context = context.data(),
                .statistics = reinterpret_cast<float*>(statistics.data()),
                .grad_context = grad_context.data(),
                .grad_qkv = grad_qkv.data(),
                .workspace = workspace.data()};
    }

    DeviceBytes qkv;
    DeviceBytes grad_context;
    DeviceBytes context;
    DeviceBytes statistics;
    DeviceBytes grad_qkv;
    DeviceBytes workspace;
};

struct Times {
    double forward_ms = 0;
    double backward_ms = 0;
    double host_us = 0;  ///< of the calls of one forward and backward
};

double median(std::vector<double> values) {
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
}

double between(const CudaEvent& from, const CudaEvent& to) {
    float ms = 0;
    TD_CUDA(cudaEventElapsedTime(&ms, from.get(), to.get()));
    return static_cast<double>(ms);
}

/// Medians over `rounds`, after as many to warm up.
Times measure(Attention& attention, const AttentionShape& shape, int rounds) {
    const Operands operands(shape, attention.workspace_size());
    const AttentionArguments arguments = operands.arguments();
    const CudaStream stream = make_stream();
    const CudaEvent begin = make_event(EventTiming::on);
    const CudaEvent middle = make_event(EventTiming::on);
    const CudaEvent end = make_event(EventTiming::on);
    TD_CUDA(cudaDeviceSynchronize());
    std::vector<double> forward;
    std::vector<double> backward;
    std::vector<double> host;
    for (int round = 0; round < 2 * rounds; ++round) {
        const auto called = std::chrono::steady_clock::now();
        TD_CUDA(cudaEventRecord(begin.get(), stream.get()));
        attention.forward(arguments, stream.get());
        TD_CUDA(cudaEventRecord(middle.get(), stream.get()));
        attention.backward(arguments, stream.get());
        TD_CUDA(cudaEventRecord(end.get(), stream.get()));
        const std::chrono::duration<double, std::micro> calls =
            std::chrono::steady_clock::now() - called;
        TD_CUDA(cudaStreamSynchronize(stream.get()));
        if (round >= rounds) {
            forward.push_back(between(begin, middle));
            backward.push_back(between(middle, end));
            host.push_back(calls.count());
        }
    }
    return {.forward_ms = median(std::move(forward)),
            .backward_ms = median(std::move(backward)),
            .host_us = median(std::move(host))};
}

void print_row(const char* method, const Published& at, const Times& times, const char* published) {
    const double tflop = forward_tflop(shape_of_length(at.seq));
    fmt::print("{:>6}  {:<8}  {:>8.3f}  {:>8.3f}  {:>7.0f}  {:>7.0f}  {:>8.1f}  {}\n",
               at.seq,
               method,
               times.forward_ms,
               times.backward_ms,
               tflop / times.forward_ms * 1e3,
               2.5 * tflop / times.backward_ms * 1e3,
               times.host_us,
               published);
}

int run(int rounds) {
    const AttentionFactory factory;
    cudaDeviceProp properties{};
    TD_CUDA(cudaGetDeviceProperties(&properties, 0));
    fmt::print("{}, cuDNN {}, bf16, 1 sequence, 64 heads of 128, causal half counted\n",
               properties.name,
               factory.cudnn_version().empty() ? "absent" : factory.cudnn_version());
    fmt::print(
        "   seq  method       fwd ms    bwd ms   fwd TF   bwd TF   host us  published (H200)\n");
    bool good = true;
    for (const Published& at : table) {
        const AttentionShape shape = shape_of_length(at.seq);
        const auto batched = factory.make_batched(shape, Precision::bf16);
        const Times slow = measure(*batched, shape, rounds);
        print_row("batched", at, slow, "");
        const AttentionFactory::Made made = factory.make(shape, Precision::bf16);
        if (made.method != AttentionMethod::fused) {
            fmt::print("{:>6}  not fused: {}\n", at.seq, made.reason);
            good = false;
            continue;
        }
        const Times fast = measure(*made.attention, shape, rounds);
        print_row(
            "fused", at, fast, fmt::format("{:.0f} / {:.0f} TF", at.forward, at.backward).c_str());
        const double tflop = forward_tflop(shape);
        record_figure(
            fmt::format("attention forward {}", at.seq), tflop / fast.forward_ms * 1e3, "TFLOP/s");
        record_figure(fmt::format("attention backward {}", at.seq),
                      2.5 * tflop / fast.backward_ms * 1e3,
                      "TFLOP/s");
        good = good && fast.forward_ms < slow.forward_ms && fast.backward_ms < slow.backward_ms;
    }
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}

}  // namespace
}  // namespace traindyno::cuda

int main(int argc, char** argv) {
    try {
        return traindyno::cuda::run(argc > 1 ? std::max(1, std::atoi(argv[1])) : 30);
    } catch (const traindyno::Error& error) {
        fmt::print(stderr, "{}\n", error.what());
        return EXIT_FAILURE;
    }
}
