// SPDX-License-Identifier: Apache-2.0
#include "collectives/reduce/reduce.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "collectives/half_types.hpp"
#include "collectives/reduce/bf16_pairs.hpp"
#include "collectives/reduce/fp16_blocks.hpp"
#include "collectives/reduce/stream.hpp"
#include "emulator/base/error.hpp"
#include "emulator/base/vector_clones.hpp"

namespace traindyno {

namespace {

/// Bytes of each input reduced at a time: the accumulators stay in the first-level cache, and what
/// is asked for ahead arrives while a block is reduced and written.
constexpr std::size_t block_bytes = 1024;

template <class T>
constexpr std::size_t block_elements = block_bytes / sizeof(T);
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

using PairKernel = void (*)(const Bf16Pair* const*, float*, float*, std::size_t);

template <class Operation, Start start>
constexpr std::array<PairKernel, widest> pair_kernels{&reduce_pairs<Operation, 1, start>,
                                                      &reduce_pairs<Operation, 2, start>,
                                                      &reduce_pairs<Operation, 3, start>,
                                                      &reduce_pairs<Operation, 4, start>};

using LastPairKernel =
    void (*)(const Bf16Pair* const*, const float*, const float*, Bf16Pair*, std::size_t);

template <class Operation, Start start>
constexpr std::array<LastPairKernel, widest> last_pair_kernels{&finish_pairs<Operation, 1, start>,
                                                               &finish_pairs<Operation, 2, start>,
                                                               &finish_pairs<Operation, 3, start>,
                                                               &finish_pairs<Operation, 4, start>};

/// Blocks of up to `widest` inputs.
template <class T>
struct Blocks {
    std::array<const T*, widest> at{};
    std::size_t inputs = 0;
    std::size_t count = 0;
    Start start = Start::fresh;
};

/// sums <- the reduction of the blocks and, where they continue, of `sums`.
template <class Operation, class T>
void add_blocks(const Blocks<T>& blocks, Accumulator<T>* sums) {
    const auto& kernels =
        blocks.start == Start::fresh ? begin_kernels<T, Operation> : continue_kernels<T, Operation>;
    kernels[blocks.inputs - 1](blocks.at.data(), sums, blocks.count);
}

template <class Operation>
void add_fp16(const Blocks<Fp16>& blocks, float* sums) {
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): written before it is read
    std::array<std::array<float, block_elements<Fp16>>, widest> widened;
    Blocks<float> floats{.inputs = blocks.inputs, .count = blocks.count, .start = blocks.start};
    for (std::size_t k = 0; k < blocks.inputs; ++k) {
        widen(blocks.at[k], widened[k].data(), blocks.count);
        floats.at[k] = widened[k].data();
    }
    add_blocks<Operation>(floats, sums);
}

/// Blocks of bf16 as pairs, and what has no partner.
struct PairBlocks {
    explicit PairBlocks(const Blocks<Bf16>& blocks)
        : pairs(blocks.count / 2),
          rest{.inputs = blocks.inputs, .count = blocks.count % 2, .start = blocks.start} {
        for (std::size_t k = 0; k < blocks.inputs; ++k) {
            at[k] = reinterpret_cast<const Bf16Pair*>(blocks.at[k]);
            rest.at[k] = blocks.at[k] + 2 * pairs;
        }
    }

    std::array<const Bf16Pair*, widest> at{};
    std::size_t pairs;
    Blocks<Bf16> rest;
};

/// The sums of all first members of pairs, then of all second ones, then of what has no partner.
template <class Operation>
void add_bf16(const Blocks<Bf16>& blocks, float* sums) {
    const PairBlocks halves{blocks};
    const auto& kernels = blocks.start == Start::fresh ? pair_kernels<Operation, Start::fresh>
                                                       : pair_kernels<Operation, Start::continued>;
    kernels[blocks.inputs - 1](halves.at.data(), sums, sums + halves.pairs, halves.pairs);
    add_blocks<Operation>(halves.rest, sums + 2 * halves.pairs);
}

/// The same, rounded.
template <class Operation>
void finish_bf16(const Blocks<Bf16>& blocks, float* sums, Bf16* to) {
    const PairBlocks halves{blocks};
    const std::size_t pairs = halves.pairs;
    const auto& kernels = blocks.start == Start::fresh
                              ? last_pair_kernels<Operation, Start::fresh>
                              : last_pair_kernels<Operation, Start::continued>;
    kernels[blocks.inputs - 1](
        halves.at.data(), sums, sums + pairs, reinterpret_cast<Bf16Pair*>(to), pairs);
    if (halves.rest.count != 0) {
        add_blocks<Operation>(halves.rest, sums + 2 * pairs);
        to[2 * pairs] = to_bf16(sums[2 * pairs]);
    }
}

/// What add_bf16 left.
void round(const float* sums, Bf16* to, std::size_t count) {
    const std::size_t pairs = count / 2;
    round_pairs(sums, sums + pairs, reinterpret_cast<Bf16Pair*>(to), pairs);
    if (count % 2 != 0) {
        to[count - 1] = to_bf16(sums[count - 1]);
    }
}

/// `count` elements from byte `at` on of inputs `input` and, as far as there are, following ones.
template <class T>
Blocks<T> blocks_from(std::span<const std::byte* const> inputs,
                      std::size_t input,
                      std::size_t at,
                      std::size_t count) {
    Blocks<T> blocks{.inputs = std::min(widest, inputs.size() - input),
                     .count = count,
                     .start = input == 0 ? Start::fresh : Start::continued};
    for (std::size_t k = 0; k < blocks.inputs; ++k) {
        blocks.at[k] = reinterpret_cast<const T*>(inputs[input + k] + at);
    }
    return blocks;
}

/// `count` elements of all inputs from byte `at` on into `sums`.
template <class T, class Operation>
void accumulate(std::span<const std::byte* const> inputs,
                std::size_t at,
                std::size_t count,
                Accumulator<T>* sums) {
    for (std::size_t input = 0; input < inputs.size(); input += widest) {
        const Blocks<T> blocks = blocks_from<T>(inputs, input, at, count);
        if constexpr (std::is_same_v<T, Fp16>) {
            add_fp16<Operation>(blocks, sums);
        } else if constexpr (std::is_same_v<T, Bf16>) {
            add_bf16<Operation>(blocks, sums);
        } else {
            add_blocks<Operation>(blocks, sums);
        }
    }
}

/// The same, rounded.
template <class Operation>
void accumulate_rounded(std::span<const std::byte* const> inputs,
                        std::size_t at,
                        std::size_t count,
                        float* sums,
                        Bf16* to) {
    const std::size_t last = (inputs.size() - 1) / widest * widest;
    accumulate<Bf16, Operation>(inputs.first(last), at, count, sums);
    finish_bf16<Operation>(blocks_from<Bf16>(inputs, last, at, count), sums, to);
}

/// The block that begins at `at`, of all inputs.
void prefetch_block(std::span<const std::byte* const> inputs, std::size_t at, std::size_t bytes) {
    if (at >= bytes) {
        return;
    }
    for (const std::byte* const input : inputs) {
        prefetch_lines(input + at, std::min(block_bytes, bytes - at));
    }
}

/// Bytes between the begin of a cache line and `place`.
std::size_t past_line(const std::byte* place) {
    return reinterpret_cast<std::uintptr_t>(place) % 64;
}

void cache_bytes(const std::byte* from, std::byte* to, std::size_t bytes) {
    std::memcpy(to, from, bytes);
}

/// The results of `count` elements from byte `at` on; they lie in `sums` or in `rounded`.
template <class T, class Operation>
const void* reduce_block(std::span<const std::byte* const> inputs,
                         std::size_t at,
                         std::size_t count,
                         const ReduceRule& rule,
                         Accumulator<T>* sums,
                         T* rounded) {
    if constexpr (std::is_same_v<T, Bf16>) {
        if (rule.reduction != Reduction::average) {
            accumulate_rounded<Operation>(inputs, at, count, sums, rounded);
            return rounded;
        }
    }
    accumulate<T, Operation>(inputs, at, count, sums);
    if (rule.reduction == Reduction::average) {
        divide(sums, count, static_cast<Accumulator<T>>(rule.members));
    }
    if constexpr (is_half<T>) {
        round(sums, rounded, count);
        return rounded;
    } else {
        return sums;
    }
}

template <class T, class Operation>
void reduce_typed(std::span<const std::byte* const> inputs,
                  std::span<std::byte* const> outputs,
                  std::size_t bytes,
                  const ReduceRule& rule,
                  Stores stores) {
    TD_EXPECT(bytes % sizeof(T) == 0);
    const auto write_first = stores == Stores::streamed ? &stream_bytes : &cache_bytes;
    const auto write = stores == Stores::cached ? &cache_bytes : &stream_bytes;
    // NOLINTBEGIN(cppcoreguidelines-pro-type-member-init): written before they are read
    alignas(64) std::array<Accumulator<T>, block_elements<T>> sums;
    alignas(64) std::array<T, is_half<T> ? block_elements<T> : 0> rounded;
    // NOLINTEND(cppcoreguidelines-pro-type-member-init)
    for (std::size_t at = 0, block = 0; at < bytes; at += block) {
        // All but the first block begin a line of an output that is streamed: whole lines are
        // written then, whatever the buffer's alignment.
        block = std::min(block_bytes - past_line(outputs.back() + at), bytes - at);
        const std::size_t count = block / sizeof(T);
        prefetch_block(inputs, at + fetch_ahead, bytes);
        const void* const result =
            reduce_block<T, Operation>(inputs, at, count, rule, sums.data(), rounded.data());
        const auto* const values = static_cast<const std::byte*>(result);
        write_first(values, outputs.front() + at, block);
        for (std::byte* const output : outputs.subspan(1)) {
            write(values, output + at, block);
        }
    }
    if (stores != Stores::cached) {
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
    TD_EXPECT(!inputs.empty() && !outputs.empty() && rule.members > 0);
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
