// SPDX-License-Identifier: Apache-2.0
#include "collectives/reduce/reduce.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <type_traits>

#include "collectives/half_types.hpp"
#include "collectives/reduce/fp16_blocks.hpp"
#include "collectives/reduce/stream.hpp"
#include "emulator/base/error.hpp"
#include "emulator/base/vector_clones.hpp"

namespace traindyno {

namespace {

/// Elements reduced at a time: the accumulators stay in the first-level cache.
constexpr std::size_t block_elements = 1024;
/// Inputs read side by side: the accumulators are loaded and stored once for all of them.
constexpr std::size_t widest = 4;

template <class T>
constexpr bool is_half = std::is_same_v<T, Bf16> || std::is_same_v<T, Fp16>;

template <class T>
using Accumulator = std::conditional_t<is_half<T>, float, T>;

template <class T>
[[gnu::always_inline]] inline Accumulator<T> load(T value) {
    if constexpr (is_half<T>) {
        return to_float(value);
    } else {
        return value;
    }
}

struct Sum {
    template <class A>
    [[gnu::always_inline]] static A of(A a, A b) {
        if constexpr (std::is_integral_v<A>) {
            using Wrapping = std::make_unsigned_t<A>;
            return static_cast<A>(static_cast<Wrapping>(a) + static_cast<Wrapping>(b));
        } else {
            return a + b;
        }
    }
};

struct Max {
    template <class A>
    [[gnu::always_inline]] static A of(A a, A b) {
        return a < b ? b : a;
    }
};

/// into <- the reduction of `count` elements of each of `n` inputs.
template <class T, class Operation, std::size_t n>
TD_CLONES void begin_block(const T* const* inputs,
                           Accumulator<T>* __restrict into,
                           std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
        Accumulator<T> value = load(inputs[0][i]);
        for (std::size_t k = 1; k < n; ++k) {
            value = Operation::of(value, load(inputs[k][i]));
        }
        into[i] = value;
    }
}

/// into <- the reduction of `into` and `count` elements of each of `n` inputs.
template <class T, class Operation, std::size_t n>
TD_CLONES void continue_block(const T* const* inputs,
                              Accumulator<T>* __restrict into,
                              std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
        Accumulator<T> value = into[i];
        for (std::size_t k = 0; k < n; ++k) {
            value = Operation::of(value, load(inputs[k][i]));
        }
        into[i] = value;
    }
}

template <class A>
TD_CLONES void divide(A* values, std::size_t count, A by) {
    for (std::size_t i = 0; i < count; ++i) {
        values[i] /= by;
    }
}

void cache_bytes(const std::byte* from, std::byte* to, std::size_t bytes) {
    std::memcpy(to, from, bytes);
}

TD_CLONES void round(const float* __restrict from, Bf16* __restrict to, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
        to[i] = to_bf16(from[i]);
    }
}

template <class T>
using Kernel = void (*)(const T* const*, Accumulator<T>*, std::size_t);

template <class T, class Operation>
constexpr std::array<Kernel<T>, widest> begin_kernels{&begin_block<T, Operation, 1>,
                                                      &begin_block<T, Operation, 2>,
                                                      &begin_block<T, Operation, 3>,
                                                      &begin_block<T, Operation, 4>};
template <class T, class Operation>
constexpr std::array<Kernel<T>, widest> continue_kernels{&continue_block<T, Operation, 1>,
                                                         &continue_block<T, Operation, 2>,
                                                         &continue_block<T, Operation, 3>,
                                                         &continue_block<T, Operation, 4>};

/// Elements [first, first + count) of up to `widest` inputs, as the kernels take them.
template <class T>
class InputBlocks {
  public:
    using Element = std::conditional_t<std::is_same_v<T, Fp16>, float, T>;

    [[nodiscard]] const Element* const* read(std::span<const std::byte* const> inputs,
                                             std::size_t first,
                                             std::size_t count) {
        for (std::size_t k = 0; k < inputs.size(); ++k) {
            const T* const block = reinterpret_cast<const T*>(inputs[k]) + first;
            if constexpr (std::is_same_v<T, Fp16>) {
                widen(block, widened_[k].data(), count);
                blocks_[k] = widened_[k].data();
            } else {
                blocks_[k] = block;
            }
        }
        return blocks_.data();
    }

  private:
    std::array<const Element*, widest> blocks_{};
    std::array<std::array<float, block_elements>, std::is_same_v<T, Fp16> ? widest : 0> widened_;
};

/// Elements [first, first + count) of all inputs into `into`.
template <class T, class Operation>
void accumulate(std::span<const std::byte* const> inputs,
                std::size_t first,
                std::size_t count,
                Accumulator<T>* into) {
    using Element = typename InputBlocks<T>::Element;
    InputBlocks<T> blocks;
    for (std::size_t input = 0; input < inputs.size(); input += widest) {
        const std::size_t n = std::min(widest, inputs.size() - input);
        const auto& kernels =
            input == 0 ? begin_kernels<Element, Operation> : continue_kernels<Element, Operation>;
        kernels[n - 1](blocks.read(inputs.subspan(input, n), first, count), into, count);
    }
}

template <class T, class Operation>
void reduce_typed(std::span<const std::byte* const> inputs,
                  std::span<std::byte* const> outputs,
                  std::size_t bytes,
                  const ReduceRule& rule,
                  Stores stores) {
    TD_EXPECT(bytes % sizeof(T) == 0);
    const auto write = stores == Stores::streamed ? &stream_bytes : &cache_bytes;
    alignas(64) std::array<Accumulator<T>, block_elements> sums;
    alignas(64) std::array<T, is_half<T> ? block_elements : 0> rounded;
    for (std::size_t first = 0; first < bytes / sizeof(T); first += block_elements) {
        const std::size_t count = std::min(block_elements, bytes / sizeof(T) - first);
        accumulate<T, Operation>(inputs, first, count, sums.data());
        if (rule.reduction == Reduction::average) {
            divide(sums.data(), count, static_cast<Accumulator<T>>(rule.members));
        }
        const void* result = sums.data();
        if constexpr (is_half<T>) {
            round(sums.data(), rounded.data(), count);
            result = rounded.data();
        }
        for (std::byte* const output : outputs) {
            write(static_cast<const std::byte*>(result),
                  output + first * sizeof(T),
                  count * sizeof(T));
        }
    }
    if (stores == Stores::streamed) {
        finish_streaming();
    }
}

template <class T>
void reduce_elements(std::span<const std::byte* const> inputs,
                     std::span<std::byte* const> outputs,
                     std::size_t bytes,
                     const ReduceRule& rule,
                     Stores stores) {
    if (rule.reduction == Reduction::max) {
        reduce_typed<T, Max>(inputs, outputs, bytes, rule, stores);
    } else {
        reduce_typed<T, Sum>(inputs, outputs, bytes, rule, stores);
    }
}

}  // namespace

void reduce(std::span<const std::byte* const> inputs,
            std::span<std::byte* const> outputs,
            std::size_t bytes,
            const ReduceRule& rule,
            Stores stores) {
    TD_EXPECT(!inputs.empty() && rule.members > 0);
    switch (rule.type) {
        case DType::fp32:
            return reduce_elements<float>(inputs, outputs, bytes, rule, stores);
        case DType::bf16:
            return reduce_elements<Bf16>(inputs, outputs, bytes, rule, stores);
        case DType::fp16:
            return reduce_elements<Fp16>(inputs, outputs, bytes, rule, stores);
        case DType::fp64:
            return reduce_elements<double>(inputs, outputs, bytes, rule, stores);
        case DType::int32:
            return reduce_elements<std::int32_t>(inputs, outputs, bytes, rule, stores);
        case DType::int64:
            return reduce_elements<std::int64_t>(inputs, outputs, bytes, rule, stores);
    }
}

}  // namespace traindyno
