// SPDX-License-Identifier: Apache-2.0
// The arithmetic of collectives on host memory: several inputs reduced in one pass.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "emulator/base/dtype.hpp"
#include "emulator/base/reduction.hpp"

namespace traindyno {

/// How results are written. `streamed` goes past the caches (non-temporal stores) and saves reading
/// the lines first: for results that no cache would hold until they are used.
enum class Stores : std::uint8_t {
    cached,
    streamed,
    first_cached,  ///< the first of several outputs is used at once, the others are streamed
};

/// What is computed. `Reduction::average` is the sum divided by `members`, integers towards zero:
/// an algorithm of several hops sums in all but the last.
struct ReduceRule {
    DType type = DType::fp32;
    Reduction reduction = Reduction::sum;
    std::int64_t members = 1;
};

/// Every outputs[j] <- the reduction of all inputs, element by element, `bytes` each. 16-bit types
/// are accumulated in fp32 over all inputs and rounded once; integers wrap. An output may be one of
/// the inputs; otherwise they do not overlap. At least one input; pointers aligned to the element.
void reduce(std::span<const std::byte* const> inputs,
            std::span<std::byte* const> outputs,
            std::size_t bytes,
            const ReduceRule& rule,
            Stores stores);

/// to <- from; they do not overlap.
void copy_bytes(const std::byte* from, std::byte* to, std::size_t bytes, Stores stores);

}  // namespace traindyno
