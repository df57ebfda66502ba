// SPDX-License-Identifier: Apache-2.0
// What collectives should take here: their cost formulas with measured parameters.
#pragma once

#include <optional>
#include <string>

#include "collectives/communicator.hpp"
#include "collectives/cost/cost.hpp"
#include "collectives/cost/shared_memory_cost.hpp"
#include "emulator/collective_bench/bench_row.hpp"

namespace traindyno {

/// Every rank sends to the next and receives from the one before, at once: alpha is what 8 bytes
/// take, beta what 1 MiB takes beyond that, gamma what adding up fp32 takes on each rank; medians,
/// of the slowest rank. Some 50 exchanges. Collective over `messages`; two ranks or more.
[[nodiscard]] LinkModel measure_link(Communicator& messages);

/// For shared_memory_cost: alpha is what 8 bytes take over `shared`, a phase; beta the time of a
/// byte that is read or written while all ranks copy 16 MiB, medians of the slowest rank. Sums go
/// at the speed of memory. Collective over `shared`, whose short all-reduces shm carries; two ranks
/// or more.
[[nodiscard]] LinkModel measure_memory(Communicator& shared);

/// What rows are predicted from.
struct BenchLinks {
    LinkModel messages;               ///< between ranks
    std::optional<LinkModel> memory;  ///< that they share
    BufferPlace buffers = BufferPlace::ordinary;
};

/// By collectives/cost: ring, recursive_doubling, halving_doubling and double_tree by name, of mpi
/// what such libraries usually do (usual_algorithm), sendrecv as one message, shm where `memory` is
/// known. Nothing for others.
[[nodiscard]] BenchModel model_of(const BenchLinks& links);

/// "alpha 1.20 us, beta 0.10 ns/B, gamma 0.05 ns/B between neighbours, measured over MPI; in shared
/// memory alpha 0.40 us, beta 0.08 ns/B"
[[nodiscard]] std::string describe(const BenchLinks& links);

}  // namespace traindyno
