// SPDX-License-Identifier: Apache-2.0
// Kernels that treat every element alike: GELU, addition, scaling, Adam, random values.
#include "emulator/device/cuda/kernels/launch.cuh"
#include "emulator/device/element_math.hpp"
#include "emulator/device/random_values.hpp"

namespace traindyno::cuda {

namespace {

constexpr int block_threads = 256;

struct Gelu {
    static constexpr int inputs = 1;

    __device__ Gelu bind() const { return *this; }

    __device__ float operator()(const float (&x)[1]) const {
        return x[0] * sigmoid(gelu_argument(x[0]));
    }
};

struct GeluBackward {
    static constexpr int inputs = 2;

    __device__ GeluBackward bind() const { return *this; }

    __device__ float operator()(const float (&x)[2]) const {
        return x[1] * gelu_slope(x[0], sigmoid(gelu_argument(x[0])));
    }
};

struct Add {
    static constexpr int inputs = 2;

    __device__ Add bind() const { return *this; }

    __device__ float operator()(const float (&x)[2]) const { return x[0] + x[1]; }
};

struct Multiply {
    float factor;

    __device__ float operator()(const float (&x)[1]) const { return x[0] * factor; }
};

struct Clip {
    static constexpr int inputs = 1;
    const float* sum_of_squares;

    __device__ Multiply bind() const { return {clip_factor(*sum_of_squares)}; }
};

template <class T, int inputs>
struct Inputs {
    const T* arrays[inputs];
};

/// Vectors that a thread loads before it computes: enough bytes in flight to fill memory's latency.
template <int inputs>
constexpr int loads_ahead = inputs == 1 ? 4 : 2;

template <int width, class T, int inputs, class Function>
__device__ __forceinline__ Pack<T, width> apply(const Function& function,
                                                const Pack<T, width> (&from)[inputs]) {
    float results[width];
#pragma unroll
    for (int i = 0; i < width; ++i) {
        float x[inputs];
#pragma unroll
        for (int input = 0; input < inputs; ++input) {
            x[input] = from[input][i];
        }
        results[i] = function(x);
    }
    return packed<T>(results);
}

/// The index-th element outside the vectors.
template <int width>
__device__ __forceinline__ std::int64_t outside(const VectorSplit& split, std::int64_t index) {
    return index < split.head ? index : index + split.vectors * width;
}

/// to <- f(from). Arrays may be the same: every element is read and written by the same thread.
template <class T, class Maker>
__global__ void __launch_bounds__(block_threads) map_elements(const Inputs<T, Maker::inputs> from,
                                                              T* to,
                                                              const VectorSplit split,
                                                              const Maker maker) {
    constexpr int inputs = Maker::inputs;
    constexpr int width = full_width<T>;
    constexpr int ahead = loads_ahead<inputs>;
    const auto function = maker.bind();
    const std::int64_t step = std::int64_t{gridDim.x} * block_threads * ahead;
    for (std::int64_t first = std::int64_t{blockIdx.x} * block_threads * ahead + threadIdx.x;
         first < split.vectors;
         first += step) {
        Pack<T, width> loaded[ahead][inputs];
#pragma unroll
        for (int a = 0; a < ahead; ++a) {
            const std::int64_t vector = first + a * block_threads;
#pragma unroll
            for (int input = 0; input < inputs; ++input) {
                if (vector < split.vectors) {
                    loaded[a][input] =
                        load_once<width>(from.arrays[input] + split.head + vector * width);
                }
            }
        }
#pragma unroll
        for (int a = 0; a < ahead; ++a) {
            const std::int64_t vector = first + a * block_threads;
            if (vector < split.vectors) {
                store(to + split.head + vector * width, apply<width>(function, loaded[a]));
            }
        }
    }
    for (std::int64_t i = std::int64_t{blockIdx.x} * block_threads + threadIdx.x;
         i < split.head + split.tail;
         i += std::int64_t{gridDim.x} * block_threads) {
        const std::int64_t at = outside<width>(split, i);
        Pack<T, 1> loaded[inputs];
#pragma unroll
        for (int input = 0; input < inputs; ++input) {
            loaded[input] = load<1>(from.arrays[input] + at);
        }
        store(to + at, apply<1>(function, loaded));
    }
}

template <class Maker>
void launch(const Maker& maker,
            detail::Operands reads,
            const Operand& write,
            const KernelContext& context) {
    std::array<Placement, Maker::inputs + 1> places{placement_of(write)};
    for (std::size_t input = 0; input < Maker::inputs; ++input) {
        TD_EXPECT(reads[input].elements == write.elements);
        places[input + 1] = placement_of(reads[input]);
    }
    with_type(write.dtype, [&](auto type) {
        using T = decltype(type);
        Inputs<T, Maker::inputs> from{};
        for (std::size_t input = 0; input < Maker::inputs; ++input) {
            from.arrays[input] = reads[input].template as<const T>();
        }
        const VectorSplit split = split_vectors(places, write.elements, full_width<T>);
        const std::int64_t items = split.vectors > 0 ? split.vectors : write.elements;
        const std::int64_t blocks =
            loop_blocks(items, block_threads * loads_ahead<Maker::inputs>, context.multiprocessors);
        map_elements<<<grid_of(blocks), block_threads, 0, context.stream>>>(
            from, write.as<T>(), split, maker);
    });
    check_launch("map_elements");
}

constexpr int adam_width = 4;  // elements: 16 bytes of each fp32 array

template <int width, class T, class Gradient>
__device__ __forceinline__ void adam_pack(const AdamArrays& arrays,
                                          const Gradient* gradients,
                                          T* weight,
                                          std::int64_t at) {
    const auto gradient = load_once<width>(gradients + at);
    const auto old_master = load_once<width>(arrays.master + at);
    const auto old_m = load_once<width>(arrays.m + at);
    const auto old_v = load_once<width>(arrays.v + at);
    float master[width];
    float m[width];
    float v[width];
#pragma unroll
    for (int i = 0; i < width; ++i) {
        const AdamState next = adam_update({old_master[i], old_m[i], old_v[i]}, gradient[i]);
        master[i] = next.master;
        m[i] = next.m;
        v[i] = next.v;
    }
    store_once(arrays.master + at, packed<float>(master));
    store_once(arrays.m + at, packed<float>(m));
    store_once(arrays.v + at, packed<float>(v));
    store_once(weight + at, packed<T>(master));
}

template <class T, class Gradient>
__global__ void __launch_bounds__(block_threads) adam_elements(const AdamArrays arrays,
                                                               const Gradient* gradients,
                                                               T* weight,
                                                               const VectorSplit split) {
    const std::int64_t first = std::int64_t{blockIdx.x} * block_threads + threadIdx.x;
    const std::int64_t step = std::int64_t{gridDim.x} * block_threads;
    for (std::int64_t vector = first; vector < split.vectors; vector += step) {
        adam_pack<adam_width>(arrays, gradients, weight, split.head + vector * adam_width);
    }
    for (std::int64_t i = first; i < split.head + split.tail; i += step) {
        adam_pack<1>(arrays, gradients, weight, outside<adam_width>(split, i));
    }
}

template <class T>
__global__ void __launch_bounds__(block_threads) random_elements(
    T* to, std::int64_t elements, float deviation, std::uint32_t seed, std::int64_t first) {
    for (std::int64_t i = std::int64_t{blockIdx.x} * block_threads + threadIdx.x; i < elements;
         i += std::int64_t{gridDim.x} * block_threads) {
        put(to + i, normal_value(seed, static_cast<std::uint32_t>(first + i), deviation));
    }
}

}  // namespace

namespace detail {

void run_pointwise(const Elementwise& op,
                   Operands reads,
                   Operands writes,
                   const KernelContext& context) {
    switch (op.kind) {
        case ElementwiseKind::gelu_forward:
            return launch(Gelu{}, reads, writes[0], context);
        case ElementwiseKind::gelu_backward:
            return launch(GeluBackward{}, reads, writes[0], context);
        case ElementwiseKind::residual_add:
        case ElementwiseKind::gradient_add:
            return launch(Add{}, reads, writes[0], context);
        case ElementwiseKind::scale:
            return launch(Clip{reads[1].as<const float>()}, reads, writes[0], context);
        default:
            TD_EXPECT(!"a pointwise kind");
    }
}

}  // namespace detail

void adam(const AdamArrays& arrays, const KernelContext& context) {
    const DType gradient = arrays.gradient.dtype;
    TD_EXPECT(gradient == DType::fp32 || gradient == arrays.weight.dtype);
    const auto fp32 = [](const float* array) {
        return Placement{reinterpret_cast<std::uintptr_t>(array), sizeof(float)};
    };
    const std::array places{placement_of(arrays.weight),
                            placement_of(arrays.gradient),
                            fp32(arrays.master),
                            fp32(arrays.m),
                            fp32(arrays.v)};
    const std::int64_t elements = arrays.weight.elements;
    const VectorSplit split = split_vectors(places, elements, adam_width);
    const std::int64_t items = split.vectors > 0 ? split.vectors : elements;
    const dim3 grid = grid_of(loop_blocks(items, block_threads, context.multiprocessors));
    with_type(arrays.weight.dtype, [&](auto type) {
        using T = decltype(type);
        const auto run = [&](const auto* gradients) {
            adam_elements<<<grid, block_threads, 0, context.stream>>>(
                arrays, gradients, arrays.weight.as<T>(), split);
        };
        if (gradient == DType::fp32) {
            return run(arrays.gradient.as<const float>());
        }
        run(arrays.gradient.as<const T>());
    });
    check_launch("adam_elements");
}

void fill_random(const Operand& data,
                 float deviation,
                 std::uint32_t seed,
                 cudaStream_t stream,
                 std::int64_t first) {
    constexpr int many_multiprocessors = 256;  // it runs once: the grid need not fit the device
    const dim3 grid = grid_of(loop_blocks(data.elements, block_threads, many_multiprocessors));
    with_type(data.dtype, [&](auto type) {
        using T = decltype(type);
        random_elements<<<grid, block_threads, 0, stream>>>(
            data.as<T>(), data.elements, deviation, seed, first);
    });
    check_launch("random_elements");
}

void fill_zero(const Operand& data, cudaStream_t stream) {
    const auto size = static_cast<std::size_t>(size_of(data.elements, data.dtype).value());
    TD_CUDA(cudaMemsetAsync(data.data, 0, size, stream));
}

void copy(const Operand& from, const Operand& to, cudaStream_t stream) {
    const auto size = static_cast<std::size_t>(size_of(to.elements, to.dtype).value());
    TD_CUDA(cudaMemcpyAsync(to.data, from.data, size, cudaMemcpyDeviceToDevice, stream));
}

}  // namespace traindyno::cuda
