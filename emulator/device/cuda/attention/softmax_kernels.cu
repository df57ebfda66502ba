// SPDX-License-Identifier: Apache-2.0
// One thread block per score row. Simple on purpose: this path is the reference.
#include <algorithm>
#include <limits>
#include <type_traits>

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "emulator/device/cuda/attention/softmax_kernels.hpp"
#include "emulator/device/cuda/runtime.hpp"

namespace traindyno::cuda {

namespace {

constexpr int warp = 32;
constexpr int block = 256;
constexpr unsigned all_lanes = 0xffffffffU;

__device__ float load(float x) {
    return x;
}

__device__ float load(__nv_bfloat16 x) {
    return __bfloat162float(x);
}

__device__ float load(__half x) {
    return __half2float(x);
}

__device__ void store(float& to, float x) {
    to = x;
}

__device__ void store(__nv_bfloat16& to, float x) {
    to = __float2bfloat16_rn(x);
}

__device__ void store(__half& to, float x) {
    to = __float2half_rn(x);
}

struct Sum {
    static constexpr float neutral = 0.0F;

    __device__ float operator()(float a, float b) const { return a + b; }
};

struct Maximum {
    static constexpr float neutral = -std::numeric_limits<float>::infinity();

    __device__ float operator()(float a, float b) const { return fmaxf(a, b); }
};

/// The combination of every thread's x, in every thread.
template <class Combine>
__device__ float over_block(float x, Combine combine) {
    __shared__ float partial[block / warp];
    for (int distance = warp / 2; distance > 0; distance /= 2) {
        x = combine(x, __shfl_xor_sync(all_lanes, x, distance));
    }
    __syncthreads();  // the last use of `partial` is over
    if (threadIdx.x % warp == 0) {
        partial[threadIdx.x / warp] = x;
    }
    __syncthreads();
    float all = Combine::neutral;
    for (const float one : partial) {
        all = combine(all, one);
    }
    return all;
}

/// How many columns of the row count, from the first.
__device__ std::int64_t visible_keys(const ScoreMatrices& matrices, std::int64_t row) {
    return matrices.mask == AttentionMask::causal ? row + 1 : matrices.keys;
}

template <class T>
__global__ void softmax(const ScoreMatrices matrices,
                        const float* scores,
                        T* probabilities,
                        float* statistics) {
    const std::int64_t row = blockIdx.x;
    const std::int64_t visible = visible_keys(matrices, row);
    const std::int64_t at = blockIdx.y * matrices.seq + row;
    const float* s = scores + at * matrices.row;
    T* p = probabilities + at * matrices.row;
    float largest = Maximum::neutral;
    for (std::int64_t c = threadIdx.x; c < visible; c += block) {
        largest = fmaxf(largest, s[c]);
    }
    largest = over_block(largest, Maximum{});
    float sum = 0;
    for (std::int64_t c = threadIdx.x; c < visible; c += block) {
        sum += expf(s[c] - largest);
    }
    sum = over_block(sum, Sum{});
    for (std::int64_t c = threadIdx.x; c < matrices.keys; c += block) {
        store(p[c], c < visible ? expf(s[c] - largest) / sum : 0.0F);
    }
    if (threadIdx.x == 0) {
        statistics[at] = largest + logf(sum);
    }
}

template <class T>
__global__ void softmax_gradient(const ScoreMatrices matrices,
                                 const float* scores,
                                 const float* statistics,
                                 const float* grad_probabilities,
                                 const T* context,
                                 const T* grad_context,
                                 std::int64_t head_size,
                                 std::int64_t context_width,
                                 T* probabilities,
                                 T* grad_scores) {
    const std::int64_t row = blockIdx.x;
    const std::int64_t visible = visible_keys(matrices, row);
    const std::int64_t at = blockIdx.y * matrices.seq + row;
    const std::int64_t token = row * context_width + blockIdx.y * head_size;
    float projection = 0;
    for (std::int64_t c = threadIdx.x; c < head_size; c += block) {
        projection += load(context[token + c]) * load(grad_context[token + c]);
    }
    projection = over_block(projection, Sum{});
    const float log_sum_exp = statistics[at];
    const std::int64_t first = at * matrices.row;
    for (std::int64_t c = threadIdx.x; c < matrices.keys; c += block) {
        const float p = c < visible ? expf(scores[first + c] - log_sum_exp) : 0.0F;
        store(probabilities[first + c], p);
        // A masked column's gradient may be anything, an infinity too: it is not multiplied.
        store(grad_scores[first + c],
              c < visible ? p * (grad_probabilities[first + c] - projection) : 0.0F);
    }
}

template <class T>
__global__ void sum_shared(SharedHeads at, const float* from, T* to) {
    const std::int64_t per_head = at.keys * at.head_size;
    const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * block;
    for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * block + threadIdx.x;
         i < at.heads * per_head;
         i += stride) {
        const std::int64_t head = i / per_head;
        const std::int64_t within = i % per_head;
        const float* first = from + head * at.shared * per_head + within;
        float sum = 0;
        for (std::int64_t s = 0; s < at.shared; ++s) {
            sum += first[s * per_head];
        }
        const std::int64_t token = within / at.head_size;
        store(to[token * at.width + head * at.head_size + within % at.head_size], sum);
    }
}

/// Calls action with a null pointer of the type that `storage` names.
template <class Action>
void with_storage(DType storage, const Action& action) {
    switch (storage) {
        case DType::fp32:
            return action(static_cast<float*>(nullptr));
        case DType::bf16:
            return action(static_cast<__nv_bfloat16*>(nullptr));
        case DType::fp16:
            return action(static_cast<__half*>(nullptr));
        case DType::fp64:
        case DType::int32:
        case DType::int64:
            break;
    }
    TD_EXPECT(!"activations are in fp32, bf16 or fp16");
}

dim3 rows_of(const ScoreMatrices& at) {
    return {static_cast<unsigned>(at.seq), static_cast<unsigned>(at.heads), 1};
}

}  // namespace

void launch_softmax(const ScoreMatrices& at,
                    DType storage,
                    const float* scores,
                    void* probabilities,
                    float* statistics,
                    cudaStream_t stream) {
    with_storage(storage, [&](auto* type) {
        softmax<<<rows_of(at), block, 0, stream>>>(
            at, scores, static_cast<decltype(type)>(probabilities), statistics);
    });
    TD_CUDA(cudaGetLastError());
}

void launch_softmax_gradient(const ScoreMatrices& at,
                             DType storage,
                             const float* scores,
                             const float* statistics,
                             const float* grad_probabilities,
                             const ContextRows& rows,
                             void* probabilities,
                             void* grad_scores,
                             cudaStream_t stream) {
    with_storage(storage, [&](auto* type) {
        using Pointer = decltype(type);
        using T = std::remove_pointer_t<Pointer>;
        softmax_gradient<<<rows_of(at), block, 0, stream>>>(at,
                                                            scores,
                                                            statistics,
                                                            grad_probabilities,
                                                            static_cast<const T*>(rows.context),
                                                            static_cast<const T*>(rows.gradient),
                                                            rows.head_size,
                                                            rows.width,
                                                            static_cast<Pointer>(probabilities),
                                                            static_cast<Pointer>(grad_scores));
    });
    TD_CUDA(cudaGetLastError());
}

void launch_sum_shared(
    const SharedHeads& at, DType storage, const float* from, void* to, cudaStream_t stream) {
    constexpr std::int64_t most = 4096;  // blocks; each loops over what is left
    const std::int64_t blocks = (at.heads * at.keys * at.head_size + block - 1) / block;
    with_storage(storage, [&](auto* type) {
        sum_shared<<<static_cast<unsigned>(std::min(blocks, most)), block, 0, stream>>>(
            at, from, static_cast<decltype(type)>(to));
    });
    TD_CUDA(cudaGetLastError());
}

}  // namespace traindyno::cuda
