// SPDX-License-Identifier: Apache-2.0
// What each chunk of a two-level operation does in each leg.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "collectives/communicator.hpp"
#include "collectives/hierarchical/chunk_pipeline.hpp"
#include "collectives/hierarchical/node_map.hpp"

namespace traindyno {

/// The communicators of the legs. Where nodes have different numbers of ranks, `across` joins the
/// first rank of each, and is a group of one on the others.
struct Levels {
    NodeMap map;
    GroupShape shape;
    GroupRank rank;  ///< in the whole group
    std::unique_ptr<Communicator> inside_first;
    std::unique_ptr<Communicator> across;
    std::unique_ptr<Communicator> inside_last;

    [[nodiscard]] bool is_even() const { return shape.fewest == shape.most; }
};

struct ChunkSizes {
    std::size_t smallest = 0;
    std::size_t largest = 0;
    std::size_t depth = 0;
};

struct ReduceArguments {
    std::span<const std::byte> in;
    std::span<std::byte> out;
    DType type = DType::fp32;
    Reduction reduction = Reduction::sum;
};

// Chunks as long as `sizes` allows, several per pass through the pipeline; none for empty buffers.
// A single chunk is asked for with the caller's urgency, several in the background. All but
// plan_all_reduce need even nodes.
[[nodiscard]] std::vector<ChunkSteps> plan_all_reduce(const Levels& levels,
                                                      const ReduceArguments& arguments,
                                                      const ChunkSizes& sizes,
                                                      Urgency urgency);
[[nodiscard]] std::vector<ChunkSteps> plan_reduce_scatter(const Levels& levels,
                                                          const ReduceArguments& arguments,
                                                          const ChunkSizes& sizes,
                                                          Urgency urgency);
[[nodiscard]] std::vector<ChunkSteps> plan_all_gather(const Levels& levels,
                                                      std::span<const std::byte> in,
                                                      std::span<std::byte> out,
                                                      const ChunkSizes& sizes,
                                                      Urgency urgency);
[[nodiscard]] std::vector<ChunkSteps> plan_broadcast(const Levels& levels,
                                                     std::span<std::byte> buffer,
                                                     GroupRank root,
                                                     const ChunkSizes& sizes,
                                                     Urgency urgency);

}  // namespace traindyno
