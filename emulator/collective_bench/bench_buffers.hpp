// SPDX-License-Identifier: Apache-2.0
// Memory of a benchmark of collectives, and where an operation's buffers lie in it.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>

#include "collectives/staged/host_staging.hpp"
#include "emulator/collective_bench/bench_case.hpp"

namespace traindyno {

struct OpBuffers {
    std::span<std::byte> in;
    std::span<std::byte> out;
};

/// Where operations find their buffers.
struct BenchMemory {
    /// Page-aligned; null when there is none left.
    std::function<std::shared_ptr<std::byte>(std::size_t bytes)> lend;
    std::shared_ptr<HostStaging> staging{};  ///< null where the host addresses that memory
};

/// Of this process alone.
[[nodiscard]] BenchMemory ordinary_memory();

/// Two blocks, for everything that is measured side by side. Pages are touched at once.
class BenchBuffers {
  public:
    /// Enough for `largest`, in either placement. Throws std::bad_alloc.
    BenchBuffers(const OpShape& largest, DType type, const BenchMemory& memory);

    /// In place, the shorter buffer is `rank`'s part of the longer, or all of it.
    [[nodiscard]] OpBuffers of(const BenchCase& what,
                               const OpShape& shape,
                               Placement placement,
                               GroupRank rank) const;

    /// The same buffers where the host writes and reads them: itself, or a copy.
    [[nodiscard]] OpBuffers on_host(const BenchCase& what,
                                    const OpShape& shape,
                                    Placement placement,
                                    GroupRank rank) const;

    /// After the host has written, and before it reads. Both come from the same arguments.
    void to_operation(const OpBuffers& host, const OpBuffers& buffers) const;
    void to_host(const OpBuffers& buffers, const OpBuffers& host) const;

    /// Bytes a rank needs.
    [[nodiscard]] static Bytes needed(const OpShape& largest, DType type);

  private:
    struct Block {
        std::shared_ptr<std::byte> memory;
        std::shared_ptr<std::byte> host;  ///< the same memory, or a copy of it
    };

    [[nodiscard]] Block allocate(const BenchMemory& memory) const;

    std::size_t size_;
    std::shared_ptr<HostStaging> staging_;
    Block first_;
    Block second_;
};

}  // namespace traindyno
