// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/cuda/kernel_timer.hpp"

#include <algorithm>
#include <vector>

#include "emulator/base/error.hpp"
#include "emulator/device/cuda/kernels/kernels.hpp"

namespace traindyno {

namespace {

constexpr int warm_launches = 3;
constexpr int timed_launches = 20;
constexpr double us_per_ms = 1000;

Slice matrix(std::int64_t rows, std::int64_t columns) {
    return {.space = Space::workspace, .offset = 0, .elements = rows * columns};
}

/// `kind` on operands of rows x columns, as programs have them.
Elementwise op_of(ElementwiseKind kind, std::int64_t rows, std::int64_t columns) {
    const Slice x = matrix(rows, columns);
    const Slice bias{.space = Space::parameter, .offset = 0, .elements = columns};
    const Slice bias_gradient{.space = Space::gradient, .offset = 0, .elements = columns};
    Elementwise op{.kind = kind, .rows = rows, .columns = columns, .reads = {}, .writes = {}};
    switch (kind) {
        case ElementwiseKind::bias_add:
            op.reads = {x, bias};
            op.writes = {x};
            break;
        case ElementwiseKind::bias_gradient:
            op.reads = {x};
            op.writes = {bias_gradient};
            break;
        case ElementwiseKind::gelu_forward:
            op.reads = {x};
            op.writes = {x};
            break;
        case ElementwiseKind::gelu_backward:
            op.reads = {x, x};
            op.writes = {x};
            break;
        default:
            TD_EXPECT(false);
    }
    return op;
}

}  // namespace

KernelTimer::KernelTimer(DType storage, DType gradient, int multiprocessors)
    : storage_(storage),
      gradient_(gradient),
      multiprocessors_(multiprocessors),
      stream_(make_stream()) {}

double KernelTimer::microseconds(ElementwiseKind kind, std::int64_t rows, std::int64_t columns) {
    const auto [known, is_new] = known_.try_emplace({kind, rows, columns}, 0.0);
    if (is_new) {
        known->second = measure(op_of(kind, rows, columns));
    }
    return known->second;
}

/// Every operand gets memory of its own: what they share in the op would stay in cache.
double KernelTimer::measure(const Elementwise& op) const {
    std::vector<DeviceBytes> memory;
    const auto place = [&](const std::vector<Slice>& slices) {
        std::vector<Operand> operands;
        for (const Slice& slice : slices) {
            const DType type = dtype_of(slice.space, storage_, gradient_);
            const DeviceBytes& bytes = memory.emplace_back(size_of(slice.elements, type));
            operands.push_back({.data = bytes.data(), .elements = slice.elements, .dtype = type});
            cuda::fill_random(operands.back(), 1.0F, 1, stream_.get());
        }
        return operands;
    };
    const std::vector<Operand> reads = place(op.reads);
    const std::vector<Operand> writes = place(op.writes);
    const DeviceBytes scratch(size_of(cuda::scratch_elements(op, multiprocessors_), DType::fp32));
    const cuda::KernelContext context{.stream = stream_.get(),
                                      .scratch = reinterpret_cast<float*>(scratch.data()),
                                      .seed = 0,
                                      .multiprocessors = multiprocessors_};
    const CudaEvent begin = make_event(EventTiming::on);
    const CudaEvent end = make_event(EventTiming::on);
    for (int i = 0; i < warm_launches + timed_launches; ++i) {
        if (i == warm_launches) {
            TD_CUDA(cudaEventRecord(begin.get(), stream_.get()));
        }
        cuda::run_elementwise(op, reads, writes, context);
    }
    TD_CUDA(cudaEventRecord(end.get(), stream_.get()));
    TD_CUDA(cudaEventSynchronize(end.get()));
    float milliseconds = 0;
    TD_CUDA(cudaEventElapsedTime(&milliseconds, begin.get(), end.get()));
    return static_cast<double>(milliseconds) * us_per_ms / timed_launches;
}

}  // namespace traindyno
