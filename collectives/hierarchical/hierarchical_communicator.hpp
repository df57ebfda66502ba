// SPDX-License-Identifier: Apache-2.0
// Two levels: fast inside a node, across nodes only what must cross, both at the same time.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "collectives/communicator.hpp"
#include "collectives/make_communicator.hpp"

namespace traindyno {

struct HierarchicalOptions {
    std::string node;         ///< this rank's; equal on the ranks of a node
    MakeCommunicator inside;  ///< for the ranks of a node; empty: as they were split
    MakeCommunicator across;  ///< for one rank of each node; empty: as they were split
    /// Chunks on the wire at once: their own steps leave no gap.
    std::size_t depth = 4;
    std::size_t smallest_chunk = std::size_t{256} << 10;  ///< bytes of a member's buffer
    std::size_t largest_chunk = std::size_t{2} << 20;
};

/// Collective over `flat`. With n nodes of L ranks each, and S bytes on each rank:
/// all_reduce      reduce-scatter inside, all-reduce of S/L across, all-gather inside: each node
///                 sends 2(n-1)/n S, the least there is, whatever L
/// reduce_scatter  inside, then across;  all_gather across, then inside;  broadcast likewise
/// Where nodes have different numbers of ranks, all_reduce goes through one rank of each node (the
/// same bytes on the wire) and the others are `flat`'s, as are all_to_all, send and recv always.
/// A sum has L - 1 additions inside, then those of `across`: 16-bit types are rounded after each,
/// within (N - 1) u sum|x| of N members, u = 2^-8 (bf16) or 2^-11 (fp16); averages once more.
[[nodiscard]] std::unique_ptr<Communicator> make_hierarchical_communicator(
    std::unique_ptr<Communicator> flat, HierarchicalOptions options);

}  // namespace traindyno
