// SPDX-License-Identifier: Apache-2.0
// Routers, and tokens on their way to slots and back. A token's slots are `tokens` apart.
#include <algorithm>

#include "emulator/device/cuda/kernels/launch.cuh"
#include "emulator/device/cuda/kernels/reduce.cuh"
#include "emulator/device/routing_math.hpp"
#include "emulator/model/model.hpp"

namespace traindyno::cuda {

namespace {

constexpr int row_threads = 256;
constexpr int warps_per_block = row_threads / warp_threads;
static_assert(most_top_k <= warp_threads);

template <class T>
struct Router {
    const T* logits;    ///< [tokens, experts]
    const T* dweights;  ///< [tokens, top_k]; null forward
    T* to;              ///< weights, or dlogits
    std::int64_t tokens;
    std::int64_t experts;
    std::int64_t top_k;
};

/// The first of all lanes' candidates, in every lane.
__device__ __forceinline__ RankedLogit first_of_warp(RankedLogit best) {
#pragma unroll
    for (int lane = warp_threads / 2; lane > 0; lane /= 2) {
        const RankedLogit other{__shfl_xor_sync(all_lanes, best.logit, lane),
                                __shfl_xor_sync(all_lanes, best.expert, lane)};
        if (ranks_before(other, best)) {
            best = other;
        }
    }
    return best;
}

/// A warp takes a token; its lane j keeps the j-th largest logit.
template <class T>
__global__ void __launch_bounds__(row_threads) route_tokens(const Router<T> op) {
    const int lane = static_cast<int>(threadIdx.x) % warp_threads;
    const std::int64_t token =
        std::int64_t{blockIdx.x} * warps_per_block + threadIdx.x / warp_threads;
    if (token >= op.tokens) {
        return;
    }
    const T* logits = op.logits + token * op.experts;
    RankedLogit own;
    RankedLogit previous;
    float largest = 0;
    for (int j = 0; j < op.top_k; ++j) {
        RankedLogit best;
        for (std::int32_t expert = lane; expert < op.experts; expert += warp_threads) {
            const RankedLogit here{to_float(logits[expert]), expert};
            if ((j == 0 || ranks_before(previous, here)) && ranks_before(here, best)) {
                best = here;
            }
        }
        previous = first_of_warp(best);
        largest = j == 0 ? previous.logit : largest;
        own = j == lane ? previous : own;
    }
    const bool chosen = lane < op.top_k;
    const float exponential = chosen ? exp2_fast(log2_e * (own.logit - largest)) : 0.0F;
    const float weight = exponential / reduce_warp<Sum>(exponential);
    if (op.dweights == nullptr) {
        if (chosen) {
            put(op.to + token * op.top_k + lane, weight);
        }
        return;
    }
    const float d = chosen ? to_float(op.dweights[token * op.top_k + lane]) : 0.0F;
    const float mean = reduce_warp<Sum>(weight * d);
    T* dlogits = op.to + token * op.experts;
    for (std::int64_t expert = lane; expert < op.experts; expert += warp_threads) {
        put(dlogits + expert, 0.0F);
    }
    __syncwarp();
    if (chosen) {
        put(dlogits + own.expert, weight * (d - mean));
    }
}

template <class T>
struct Deal {
    const T* from;
    const T* weights;  ///< [tokens, top_k]; null: all 1
    T* to;
    std::int64_t tokens;
    std::int64_t slots;
    std::int64_t top_k;
    std::int64_t columns;
};

/// to[slot] <- from[slot mod tokens]; a block takes a token.
template <class T, int width>
__global__ void __launch_bounds__(row_threads) fill_slots(const Deal<T> op) {
    const std::int64_t token = blockIdx.x;
    for (std::int64_t column = threadIdx.x * width; column < op.columns;
         column += row_threads * width) {
        const auto values = load_once<width>(op.from + token * op.columns + column);
        for (std::int64_t slot = token; slot < op.slots; slot += op.tokens) {
            store(op.to + slot * op.columns + column, values);
        }
    }
}

/// to[token] <- sum over its slots of weight * from[slot]; a block takes a token.
template <class T, int width>
__global__ void __launch_bounds__(row_threads) sum_slots(const Deal<T> op) {
    const std::int64_t token = blockIdx.x;
    for (std::int64_t column = threadIdx.x * width; column < op.columns;
         column += row_threads * width) {
        float sums[width] = {};
        std::int64_t weight_at = token * op.top_k;
        for (std::int64_t slot = token; slot < op.slots; slot += op.tokens, ++weight_at) {
            const float weight = op.weights == nullptr ? 1.0F : to_float(op.weights[weight_at]);
            const auto values = load_once<width>(op.from + slot * op.columns + column);
#pragma unroll
            for (int i = 0; i < width; ++i) {
                sums[i] += weight * values[i];
            }
        }
        store(op.to + token * op.columns + column, packed<T>(sums));
    }
}

template <class T>
struct DealBack {
    const T* dz;       ///< [tokens, columns]
    const T* y;        ///< [slots, columns]
    const T* weights;  ///< [tokens, top_k]
    T* dy;
    T* dweights;
    std::int64_t tokens;
    std::int64_t slots;
    std::int64_t top_k;
    std::int64_t columns;
};

/// dy[slot] <- weight * dz[token], dweight <- dz[token] . y[slot]; a block takes a token.
template <class T, int width>
__global__ void __launch_bounds__(row_threads) fill_slots_back(const DealBack<T> op) {
    __shared__ Slots sums[2];  // one is read while the next is written
    const std::int64_t token = blockIdx.x;
    const T* dz = op.dz + token * op.columns;
    const T* weights = op.weights + token * op.top_k;
    T* dweights = op.dweights + token * op.top_k;
    std::int64_t round = 0;
    for (std::int64_t slot = token; slot < op.slots; slot += op.tokens, ++round) {
        const bool counts = round < op.top_k;  // else padding
        const float weight = counts ? to_float(weights[round]) : 0.0F;
        float along = 0;
        for (std::int64_t column = threadIdx.x * width; column < op.columns;
             column += row_threads * width) {
            const auto d = load<width>(dz + column);
            const auto y = load_once<width>(op.y + slot * op.columns + column);
            float scaled[width];
#pragma unroll
            for (int i = 0; i < width; ++i) {
                along += d[i] * y[i];
                scaled[i] = weight * d[i];
            }
            store(op.dy + slot * op.columns + column, packed<T>(scaled));
        }
        const float sum = reduce_block<Sum>(along, sums[round % 2]);
        if (threadIdx.x == 0 && counts) {
            put(dweights + round, sum);
        }
    }
    for (; round < op.top_k; ++round) {  // dropped: no slot
        if (threadIdx.x == 0) {
            put(dweights + round, 0.0F);
        }
    }
}

constexpr int parts_per_launch = 64;

/// Of a launch; kernels take up to 4 KiB of parameters.
struct Parts {
    const std::byte* from[parts_per_launch];
    std::byte* to[parts_per_launch];
    std::int64_t bytes[parts_per_launch];
};

/// Row y of the grid copies a part, in words of all its threads.
template <class Wide>
__global__ void __launch_bounds__(row_threads) copy_parts(const Parts parts) {
    const int part = static_cast<int>(blockIdx.y);
    const auto* from = reinterpret_cast<const Wide*>(parts.from[part]);
    auto* to = reinterpret_cast<Wide*>(parts.to[part]);
    const std::int64_t words = parts.bytes[part] / static_cast<std::int64_t>(sizeof(Wide));
    for (std::int64_t i = std::int64_t{blockIdx.x} * row_threads + threadIdx.x; i < words;
         i += std::int64_t{gridDim.x} * row_threads) {
        to[i] = from[i];
    }
}

template <class T>
void route(const Elementwise& op,
           detail::Operands reads,
           const Operand& to,
           const KernelContext& context) {
    const bool backward = op.kind == ElementwiseKind::router_backward;
    const Router<T> router{.logits = reads[0].as<const T>(),
                           .dweights = backward ? reads[1].as<const T>() : nullptr,
                           .to = to.as<T>(),
                           .tokens = op.rows,
                           .experts = op.columns,
                           .top_k = (backward ? reads[1].elements : to.elements) / op.rows};
    const std::int64_t blocks = (op.rows + warps_per_block - 1) / warps_per_block;
    route_tokens<<<grid_of(blocks), row_threads, 0, context.stream>>>(router);
}

template <class T>
void deal(const Elementwise& op,
          detail::Operands reads,
          const Operand& to,
          const KernelContext& context) {
    const bool fill = op.kind == ElementwiseKind::permute_forward;
    const bool weighted = op.kind == ElementwiseKind::unpermute_forward;
    Deal<T> dealt{.from = reads[0].as<const T>(),
                  .weights = weighted ? reads[1].as<const T>() : nullptr,
                  .to = to.as<T>(),
                  .tokens = op.rows,
                  .slots = (fill ? to : reads[0]).elements / op.columns,
                  .top_k = weighted ? reads[1].elements / op.rows : 0,
                  .columns = op.columns};
    if (weighted) {
        dealt.slots = std::min(dealt.slots, dealt.top_k * dealt.tokens);
    }
    with_row_width<T>(
        op.columns,
        [&](auto width) {
            if (fill) {
                fill_slots<T, width()><<<grid_of(op.rows), row_threads, 0, context.stream>>>(dealt);
            } else {
                sum_slots<T, width()><<<grid_of(op.rows), row_threads, 0, context.stream>>>(dealt);
            }
        },
        reads[0],
        to);
}

template <class T>
void deal_back(const Elementwise& op,
               detail::Operands reads,
               detail::Operands writes,
               const KernelContext& context) {
    const DealBack<T> dealt{.dz = reads[0].as<const T>(),
                            .y = reads[1].as<const T>(),
                            .weights = reads[2].as<const T>(),
                            .dy = writes[0].as<T>(),
                            .dweights = writes[1].as<T>(),
                            .tokens = op.rows,
                            .slots = reads[1].elements / op.columns,
                            .top_k = reads[2].elements / op.rows,
                            .columns = op.columns};
    with_row_width<T>(
        op.columns,
        [&](auto width) {
            fill_slots_back<T, width()>
                <<<grid_of(op.rows), row_threads, 0, context.stream>>>(dealt);
        },
        reads[0],
        reads[1],
        writes[0]);
}

/// Whether all of a part's addresses and sizes are whole vectors.
bool is_wide(const Parts& parts, int count) {
    std::uintptr_t bits = 0;
    for (int i = 0; i < count; ++i) {
        bits |= reinterpret_cast<std::uintptr_t>(parts.from[i]) |
                reinterpret_cast<std::uintptr_t>(parts.to[i]) |
                static_cast<std::uintptr_t>(parts.bytes[i]);
    }
    return bits % vector_bytes == 0;
}

void copy(const Parts& parts, int count, const KernelContext& context) {
    const std::int64_t longest = *std::max_element(parts.bytes, parts.bytes + count);
    const bool wide = is_wide(parts, count);
    const std::int64_t words = longest / (wide ? vector_bytes : 2);
    const dim3 grid = grid_of(loop_blocks(words, row_threads, context.multiprocessors), count);
    if (wide) {
        copy_parts<uint4><<<grid, row_threads, 0, context.stream>>>(parts);
    } else {  // every type has a multiple of two bytes
        copy_parts<unsigned short><<<grid, row_threads, 0, context.stream>>>(parts);
    }
    check_launch("copy_parts");
}

void concatenate(detail::Operands reads, const Operand& to, const KernelContext& context) {
    Parts parts{};
    int count = 0;
    std::byte* end = to.data;
    for (const Operand& part : reads) {
        const std::int64_t bytes = part.elements * element_size(part.dtype);
        parts.from[count] = part.data;
        parts.to[count] = end;
        parts.bytes[count] = bytes;
        end += bytes;
        if (++count == parts_per_launch) {
            copy(parts, count, context);
            count = 0;
        }
    }
    if (count > 0) {
        copy(parts, count, context);
    }
}

}  // namespace

namespace detail {

void run_routing(const Elementwise& op,
                 Operands reads,
                 Operands writes,
                 const KernelContext& context) {
    if (op.kind == ElementwiseKind::concatenate) {
        return concatenate(reads, writes[0], context);
    }
    with_type(reads[0].dtype, [&](auto type) {
        using T = decltype(type);
        switch (op.kind) {
            case ElementwiseKind::router_forward:
            case ElementwiseKind::router_backward:
                return route<T>(op, reads, writes[0], context);
            case ElementwiseKind::unpermute_backward:
                return deal_back<T>(op, reads, writes, context);
            default:
                return deal<T>(op, reads, writes[0], context);
        }
    });
    check_launch("run_routing");
}

}  // namespace detail

}  // namespace traindyno::cuda
