// SPDX-License-Identifier: Apache-2.0
// How near the memory-bound CUDA kernels come to a copy within the device.
//
//     gpu_kernel_bench
//
// Operands of 2048 x 12288 bf16 (a micro-batch of GPT-3), Adam on 200 million parameters.
// Bandwidths count every operand read or written once. Kernels and copy take turns; medians of CUDA
// events.
#include <algorithm>
#include <exception>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "emulator/device/cuda/kernels/kernels.hpp"
#include "emulator/device/cuda/runtime.hpp"
#include "tests/bench/gpu/figures.hpp"

namespace traindyno {
namespace {

constexpr std::int64_t rows = 2048;
constexpr std::int64_t columns = 12288;
constexpr std::int64_t elements = rows * columns;
constexpr std::int64_t parameters = 200'000'000;
constexpr int rounds = 31;

struct Measured {
    std::string name;
    double bytes = 0;
    std::function<void()> launch;
    std::vector<double> seconds{};
};

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

class Bench {
  public:
    Bench() {
        TD_CUDA(
            cudaDeviceGetAttribute(&context_.multiprocessors, cudaDevAttrMultiProcessorCount, 0));
        context_.stream = stream_.get();
        add_kinds();
        add_adam();
        const Operand from = array(elements, DType::bf16);
        const Operand to = array(elements, DType::bf16);
        add("copy", 2.0 * elements * 2, [=, this] {
            TD_CUDA(cudaMemcpyAsync(
                to.data, from.data, elements * 2, cudaMemcpyDeviceToDevice, stream_.get()));
        });
    }

    void run() {
        for (int round = 0; round < rounds; ++round) {
            for (Measured& measured : all_) {
                TD_CUDA(cudaEventRecord(begin_.get(), stream_.get()));
                measured.launch();
                TD_CUDA(cudaEventRecord(end_.get(), stream_.get()));
                TD_CUDA(cudaEventSynchronize(end_.get()));
                float ms = 0;
                TD_CUDA(cudaEventElapsedTime(&ms, begin_.get(), end_.get()));
                measured.seconds.push_back(static_cast<double>(ms) * 1e-3);
            }
        }
        const double copy = rate(all_.back());
        for (const Measured& measured : all_) {
            fmt::print("{:<20} {:8.1f} us {:6.2f} TB/s {:6.2f} of copy\n",
                       measured.name,
                       median(measured.seconds) * 1e6,
                       rate(measured) * 1e-12,
                       rate(measured) / copy);
            record_figure(measured.name, rate(measured) * 1e-12, "TB/s");
        }
    }

  private:
    static double rate(const Measured& measured) {
        return measured.bytes / median(measured.seconds);
    }

    Operand array(std::int64_t count, DType type) {
        memory_.emplace_back(size_of(count, type));
        const Operand operand{.data = memory_.back().data(), .elements = count, .dtype = type};
        cuda::fill_random(operand, 1.0F, 1, stream_.get());
        return operand;
    }

    void add(std::string name, double bytes, std::function<void()> launch) {
        all_.push_back({.name = std::move(name), .bytes = bytes, .launch = std::move(launch)});
    }

    void add_kind(ElementwiseKind kind, std::vector<Operand> reads, std::vector<Operand> writes) {
        Elementwise op{.kind = kind, .rows = rows, .columns = columns, .reads = {}, .writes = {}};
        op.reads.resize(reads.size());
        op.writes.resize(writes.size());
        const std::int64_t wanted = cuda::scratch_elements(op, context_.multiprocessors);
        cuda::KernelContext context = context_;
        context.scratch = array(wanted, DType::fp32).as<float>();
        double bytes = 0;
        for (const auto* operands : {&reads, &writes}) {
            for (const Operand& operand : *operands) {
                bytes += size_of(operand.elements, operand.dtype).as_double();
            }
        }
        add(std::string(to_string(kind)), bytes, [=] {
            cuda::run_elementwise(op, reads, writes, context);
        });
    }

    void add_kinds() {
        using enum ElementwiseKind;
        const Operand x = array(elements, DType::bf16);
        const Operand y = array(elements, DType::bf16);
        const Operand z = array(elements, DType::bf16);
        const Operand wide = array(2 * elements, DType::bf16);
        const Operand d_wide = array(2 * elements, DType::bf16);
        const Operand bias = array(columns, DType::bf16);
        const Operand weights = array(2 * columns, DType::bf16);
        const Operand column_sums = array(columns, DType::fp32);
        const Operand weight_sums = array(2 * columns, DType::fp32);
        const Operand scalar = array(1, DType::fp32);
        const Operand gradient = array(elements, DType::fp32);
        add_kind(gelu_forward, {x}, {y});
        add_kind(gelu_backward, {x, y}, {z});
        add_kind(swiglu_forward, {wide}, {x});
        add_kind(swiglu_backward, {wide, x}, {d_wide});
        add_kind(residual_add, {x, y}, {z});
        add_kind(bias_add, {z, bias}, {z});
        add_kind(bias_gradient, {x}, {column_sums});
        add_kind(norm_forward, {x, weights}, {y});
        add_kind(norm_backward, {x, y, weights}, {z, weight_sums});
        add_kind(rotary_forward, {z}, {z});
        add_kind(cross_entropy, {z}, {z, scalar});
        add_kind(sum_of_squares, {gradient}, {scalar});
        add_kind(scale, {gradient, scalar}, {gradient});
        add_kind(zero, {}, {gradient});
    }

    void add_adam() {
        AdamArrays arrays;
        arrays.weight = array(parameters, DType::bf16);
        arrays.gradient = array(parameters, DType::fp32);
        arrays.master = array(parameters, DType::fp32).as<float>();
        arrays.m = array(parameters, DType::fp32).as<float>();
        const Operand v = array(parameters, DType::fp32);
        cuda::fill_zero(v, stream_.get());
        arrays.v = v.as<float>();
        const double bytes = 4.0 * 4 + 3.0 * 4 + 2;  // four arrays in, three and the weight out
        add("adam", bytes * parameters, [=, this] { cuda::adam(arrays, context_); });
    }

    CudaStream stream_ = make_stream();
    CudaEvent begin_ = make_event(EventTiming::on);
    CudaEvent end_ = make_event(EventTiming::on);
    cuda::KernelContext context_;
    std::vector<DeviceBytes> memory_;
    std::vector<Measured> all_;
};

}  // namespace
}  // namespace traindyno

int main() {
    try {
        traindyno::Bench().run();
    } catch (const std::exception& error) {
        fmt::print(stderr, "gpu_kernel_bench: {}\n", error.what());
        return 1;
    }
    return 0;
}
