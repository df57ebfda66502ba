// SPDX-License-Identifier: Apache-2.0
// Attention of a large model's layer (bf16, 64 heads of 128, one sequence): fused and batched;
// causal, and without a mask as context parallelism attends to the keys of other ranks.
//
//     attention_bench [rounds]
//
// TFLOP/s count the half of the score square that is not masked, as the published table does:
// 2 b a s s d for forward's two products, 2.5 times that for backward's five; without a mask the
// whole rectangle, 4 b a s k d. Published are cuDNN
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

struct Measured {
    std::int64_t seq;
    std::int64_t keys;      ///< of other ranks; 0: causal
    const char* published;  ///< TFLOP/s forward / backward, where there are
};

constexpr Measured table[] = {{2048, 0, "484 / 370 TF"},
                              {4096, 0, "591 / 474 TF"},
                              {8192, 0, "644 / 541 TF"},
                              {4096, 2048, ""},
                              {2048, 4096, ""}};

AttentionShape shape_of(const Measured& at) {
    return {.batch = 1,
            .seq = at.seq,
            .heads = 64,
            .kv_heads = 64,
            .head_size = 128,
            .keys = at.keys,
            .mask = at.keys > 0 ? AttentionMask::none : AttentionMask::causal};
}

std::string name_of(const Measured& at) {
    return at.keys > 0 ? fmt::format("{}x{}", at.seq, at.keys) : fmt::format("{}", at.seq);
}

double forward_tflop(const AttentionShape& s) {
    const double per_pair = s.mask == AttentionMask::causal ? 2e-12 : 4e-12;
    return per_pair * static_cast<double>(s.batch * s.heads * s.head_size) *
           static_cast<double>(s.seq * s.key_rows());
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
          keys_values(normal_bf16(shape.batch * shape.key_rows() * shape.kv_width(), 3)),
          grad_context(normal_bf16(shape.batch * shape.seq * shape.context_width(), 2)),
          context(grad_context.size()),
          statistics(size_of(shape.batch * shape.heads * shape.seq, DType::fp32)),
          grad_qkv(qkv.size()),
          grad_keys_values(keys_values.size()),
          workspace(workspace_size) {}

    [[nodiscard]] AttentionArguments arguments() const {
        return {.qkv = qkv.data(),
                .keys_values = keys_values.data(),
                .context = context.data(),
                .statistics = reinterpret_cast<float*>(statistics.data()),
                .grad_context = grad_context.data(),
                .grad_qkv = grad_qkv.data(),
                .grad_keys_values = grad_keys_values.data(),
                .workspace = workspace.data()};
    }

    DeviceBytes qkv;
    DeviceBytes keys_values;  ///< read where they are apart
    DeviceBytes grad_context;
    DeviceBytes context;
    DeviceBytes statistics;
    DeviceBytes grad_qkv;
    DeviceBytes grad_keys_values;
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

void print_row(const char* method, const Measured& at, const Times& times, const char* published) {
    const double tflop = forward_tflop(shape_of(at));
    fmt::print("{:>9}  {:<8}  {:>8.3f}  {:>8.3f}  {:>7.0f}  {:>7.0f}  {:>8.1f}  {}\n",
               name_of(at),
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
        "      seq  method       fwd ms    bwd ms   fwd TF   bwd TF   host us  published (H200)\n");
    bool good = true;
    for (const Measured& at : table) {
        const AttentionShape shape = shape_of(at);
        const auto batched = factory.make_batched(shape, Precision::bf16);
        const Times slow = measure(*batched, shape, rounds);
        print_row("batched", at, slow, "");
        const AttentionFactory::Made made = factory.make(shape, Precision::bf16);
        if (made.method != AttentionMethod::fused) {
            fmt::print("{:>9}  not fused: {}\n", name_of(at), made.reason);
            good = false;
            continue;
        }
        const Times fast = measure(*made.attention, shape, rounds);
        print_row("fused", at, fast, at.published);
        const double tflop = forward_tflop(shape);
        record_figure(fmt::format("attention forward {}", name_of(at)),
                      tflop / fast.forward_ms * 1e3,
                      "TFLOP/s");
        record_figure(fmt::format("attention backward {}", name_of(at)),
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
