// SPDX-License-Identifier: Apache-2.0
// What algorithms made of messages should take here: their cost formulas with measured parameters.
#pragma once

#include <string>

#include "collectives/communicator.hpp"
#include "collectives/cost/cost.hpp"
#include "emulator/collective_bench/bench_row.hpp"

namespace traindyno {

/// Every rank sends to the next and receives from the one before, at once: alpha is what 8 bytes
/// take, beta what 1 MiB takes beyond that, gamma what adding up fp32 takes on each rank; medians,
/// of the slowest rank. Some 50 exchanges. Collective over `messages`; two ranks or more.
[[nodiscard]] LinkModel measure_link(Communicator& messages);

/// By collectives/cost: ring, recursive_doubling, halving_doubling and double_tree by name, of mpi
/// what such libraries usually do (usual_algorithm), sendrecv as one message. Nothing for others.
[[nodiscard]] BenchModel model_of(const LinkModel& link);

/// "alpha 1.20 us, beta 0.10 ns/B, gamma 0.05 ns/B"
[[nodiscard]] std::string describe(const LinkModel& link);

}  // namespace traindyno
