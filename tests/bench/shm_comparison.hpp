// SPDX-License-Identifier: Apache-2.0
// One collective in shared memory, timed against MPI's own and against plain copies.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <mpi.h>

#include "collectives/mpi/element_types.hpp"
#include "collectives/shm/shm_communicator.hpp"

namespace traindyno::bench {

inline constexpr std::int64_t kib = 1024;
inline constexpr std::int64_t mib = 1024 * kib;

enum class Operation : std::uint8_t { all_reduce, reduce_scatter, all_gather };

[[nodiscard]] const char* name_of(Operation operation);

/// One line of the table. `bytes` is the whole: an all-gather's output, a reduce-scatter's input.
struct Line {
    Operation operation = Operation::all_reduce;
    DType type = DType::fp32;
    std::int64_t bytes = 0;
};

/// What is timed. The last two carry the same bytes as fp32, beside another type.
enum class Way : std::uint8_t { mpi, heap, ordinary, copies, heap_fp32, ordinary_fp32 };

inline constexpr std::size_t ways = 6;

/// By way: seconds per call of the slowest rank, round by round.
using Samples = std::array<std::vector<double>, ways>;

[[nodiscard]] inline const std::vector<double>& of(const Samples& samples, Way way) {
    return samples[static_cast<std::size_t>(way)];
}

struct Buffers {
    std::span<std::byte> in;
    std::span<std::byte> out;
};

class Comparison {
  public:
    Comparison(Communicator& world, MPI_Comm raw, Communicator& shm, SharedHeap& heap, Line line);

    /// Every way once, then once more in the opposite order, ten times.
    [[nodiscard]] Samples measure();

  private:
    void call(Way way);
    void native();
    void ours(const Buffers& buffers, DType type);
    void copy();
    void check_result();

    Communicator& world_;
    MPI_Comm raw_;
    Communicator& shm_;
    Line line_;
    ElementTypes types_;
    std::unique_ptr<std::byte[]> memory_;
    std::shared_ptr<std::byte> lent_in_;
    std::shared_ptr<std::byte> lent_out_;
    Buffers ordinary_;
    Buffers lent_;
};

}  // namespace traindyno::bench
