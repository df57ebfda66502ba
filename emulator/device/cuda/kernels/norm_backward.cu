// SPDX-License-Identifier: Apache-2.0
// Gradient of LayerNorm and RMSNorm where a block can hold a row: it takes rows in turn, fetches
// the next while it works on one, and keeps its sums for the weights' gradient in registers.
#include <cuda_pipeline_primitives.h>

#include "emulator/device/cuda/kernels/column_sums.cuh"
#include "emulator/device/cuda/kernels/norm_gradient.cuh"

namespace traindyno::cuda {

namespace {

constexpr int most_threads(int vectors_per_thread) {
    return vectors_per_thread == 1 ? 512 : 768;
}

/// This thread's vectors of a row.
template <class T, int per_thread>
struct RowPart {
    Pack<T, full_width<T>> x[per_thread];
    Pack<T, full_width<T>> dy[per_thread];
};

/// Rows on their way from memory, two deep. A thread fetches and reads its own vectors only, so
/// that nothing has to be synchronised.
template <class T, int per_thread>
class RowQueue {
  public:
    __device__ RowQueue(const NormGradient<T>& op, uint4* stage, int held)
        : op_(op), stage_(stage), held_(held) {}

    __device__ void fetch(std::int64_t row, int slot) {
        if (row < op_.rows) {
            const std::int64_t begin =
                row * op_.columns + static_cast<std::int64_t>(threadIdx.x) * full_width<T>;
            const std::int64_t step = static_cast<std::int64_t>(blockDim.x) * full_width<T>;
#pragma unroll
            for (int j = 0; j < per_thread; ++j) {
                if (j < held_) {
                    __pipeline_memcpy_async(place(slot, 0, j), op_.x + begin + j * step, 16);
                    __pipeline_memcpy_async(place(slot, 1, j), op_.dy + begin + j * step, 16);
                }
            }
        }
        __pipeline_commit();
    }

    /// The row in `slot`, once everything but the latest fetch has arrived.
    __device__ RowPart<T, per_thread> take(int slot) {
        __pipeline_wait_prior(1);
        RowPart<T, per_thread> part;
#pragma unroll
        for (int j = 0; j < per_thread; ++j) {
            if (j < held_) {
                part.x[j] = as_pack<T, full_width<T>>(*place(slot, 0, j));
                part.dy[j] = as_pack<T, full_width<T>>(*place(slot, 1, j));
            }
        }
        return part;
    }

  private:
    __device__ uint4* place(int slot, int array, int j) {
        return stage_ + ((slot * 2 + array) * per_thread + j) * blockDim.x + threadIdx.x;
    }

    const NormGradient<T>& op_;
    uint4* stage_;
    int held_;  ///< vectors of this thread in a row
};

template <class T, int per_thread>
using Scales = Pack<T, full_width<T>>[per_thread];

/// Uses slots[0] and slots[1].
template <Center center, class T, int per_thread>
__device__ __forceinline__ GradientStatistics statistics_of_part(const RowPart<T, per_thread>& part,
                                                                 const Scales<T, per_thread>& scale,
                                                                 int held,
                                                                 std::int64_t columns,
                                                                 PairSlots (&slots)[2]) {
    GradientSums sums;
    if constexpr (center == Center::yes) {
        float2 plain{0.0F, 0.0F};
#pragma unroll
        for (int j = 0; j < per_thread; ++j) {
            if (j < held) {
                add_plain(plain, part.x[j], part.dy[j], scale[j]);
            }
        }
        sums.plain = sum_pairs(plain, slots[0]);
    }
    const float mean = sums.plain.x / static_cast<float>(columns);
    float2 centered{0.0F, 0.0F};
#pragma unroll
    for (int j = 0; j < per_thread; ++j) {
        if (j < held) {
            add_centered(centered, part.x[j], part.dy[j], scale[j], mean);
        }
    }
    sums.centered = sum_pairs(centered, slots[1]);
    return gradient_statistics(sums, columns);
}

template <int width>
__device__ __forceinline__ void store_sums(const float (&sums)[width], float* to) {
#pragma unroll
    for (int i = 0; i < width; i += 4) {
        const float four[] = {sums[i], sums[i + 1], sums[i + 2], sums[i + 3]};
        store(to + i, packed<float>(four));
    }
}

template <class T, int per_thread, Center center>
__global__ void __launch_bounds__(most_threads(per_thread), per_thread == 1 ? 2 : 1)
    norm_gradient_rows(const NormGradient<T> op) {
    constexpr int width = full_width<T>;
    extern __shared__ uint4 stage[];
    __shared__ PairSlots
        slots[2][2];  // a row's first sums may meet the last ones of the row before
    const int threads = static_cast<int>(blockDim.x);
    const int thread = static_cast<int>(threadIdx.x);
    const int held = (static_cast<int>(op.columns) / width - thread + threads - 1) / threads;
    RowQueue<T, per_thread> queue(op, stage, held);
    queue.fetch(blockIdx.x, 0);
    Scales<T, per_thread> scale;
#pragma unroll
    for (int j = 0; j < per_thread; ++j) {
        if (j < held) {
            scale[j] = load_shared<width>(op.scale + (thread + j * threads) * width);
        }
    }
    WeightSums<width> sums[per_thread] = {};
    int slot = 0;
    for (std::int64_t row = blockIdx.x; row < op.rows; row += gridDim.x, slot ^= 1) {
        queue.fetch(row + gridDim.x, slot ^ 1);
        const RowPart<T, per_thread> part = queue.take(slot);
        const GradientStatistics s =
            statistics_of_part<center>(part, scale, held, op.columns, slots[slot]);
#pragma unroll
        for (int j = 0; j < per_thread; ++j) {
            if (j < held) {
                T* dx = op.dx + row * op.columns + (thread + j * threads) * width;
                store(dx, gradient_of(part.x[j], part.dy[j], scale[j], s, sums[j]));
            }
        }
    }
    const std::int64_t weights = center == Center::yes ? 2 * op.columns : op.columns;
#pragma unroll
    for (int j = 0; j < per_thread; ++j) {
        if (j < held) {
            float* to = op.partial + blockIdx.x * weights + (thread + j * threads) * width;
            store_sums(sums[j].scale, to);
            if constexpr (center == Center::yes) {
                store_sums(sums[j].shift, to + op.columns);
            }
        }
    }
}

template <class T>
void launch_rows(const NormGradient<T>& op,
                 Center center,
                 const RowBlock& shape,
                 cudaStream_t stream) {
    const bool centered = center == Center::yes;
    auto* const one = centered ? norm_gradient_rows<T, 1, Center::yes>  //
                               : norm_gradient_rows<T, 1, Center::no>;
    auto* const two =
        centered ? norm_gradient_rows<T, 2, Center::yes> : norm_gradient_rows<T, 2, Center::no>;
    auto* const kernel = shape.vectors_per_thread == 1 ? one : two;
    const int shared = 2 * 2 * shape.vectors_per_thread * shape.threads * vector_bytes;
    TD_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared));
    kernel<<<grid_of(shape.blocks), shape.threads, shared, stream>>>(op);
    check_launch("norm_gradient_rows");
}

}  // namespace

namespace detail {

void run_norm_backward(const Elementwise& op,
                       Operands reads,
                       Operands writes,
                       const KernelContext& context) {
    const Center center = center_of(op, reads[2]);
    with_type(writes[0].dtype, [&](auto type) {
        using T = decltype(type);
        NormGradient<T> gradient{.x = reads[0].as<const T>(),
                                 .dy = reads[1].as<const T>(),
                                 .scale = reads[2].as<const T>(),
                                 .dx = writes[0].as<T>(),
                                 .partial = context.scratch,
                                 .rows = op.rows,
                                 .columns = op.columns};
        const auto run = [&](auto width) {
            const RowBlock shape =
                norm_backward_block(op.rows, op.columns / width(), context.multiprocessors);
            if (width() > 1 && shape.blocks > 0) {
                launch_rows(gradient, center, shape, context.stream);
                return add_partial_sums(gradient.partial, shape.blocks, writes[1], context.stream);
            }
            norm_backward_in_two_passes<T, width()>(gradient, center, writes[1], context);
        };
        with_row_width<T>(op.columns, run, reads[0], reads[1], reads[2], writes[0]);
    });
}

}  // namespace detail

}  // namespace traindyno::cuda
