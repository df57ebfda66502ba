// SPDX-License-Identifier: Apache-2.0
// Memory of a benchmark of collectives, and where an operation's buffers lie in it.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <span>

#include "emulator/collective_bench/bench_case.hpp"

namespace traindyno {

struct OpBuffers {
    std::span<std::byte> in;
    std::span<std::byte> out;
};

/// Two blocks, for everything that is measured side by side. Pages are touched at once.
class BenchBuffers {
  public:
    /// Enough for `largest`, in either placement.
    BenchBuffers(const OpShape& largest, DType type);

    /// In place, the shorter buffer is `rank`'s part of the longer, or all of it.
    [[nodiscard]] OpBuffers of(const BenchCase& what,
                               const OpShape& shape,
                               Placement placement,
                               GroupRank rank) const;

    /// Bytes a rank needs.
    [[nodiscard]] static Bytes needed(const OpShape& largest, DType type);

  private:
    struct Free {
        void operator()(std::byte* block) const noexcept { std::free(block); }
    };

    using Block = std::unique_ptr<std::byte, Free>;
    [[nodiscard]] static Block allocate(std::size_t size);

    std::size_t size_;
    Block first_;
    Block second_;
};

}  // namespace traindyno
