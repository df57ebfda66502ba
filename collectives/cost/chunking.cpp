// SPDX-License-Identifier: Apache-2.0
#include "collectives/cost/chunking.hpp"

#include <algorithm>

namespace traindyno {

namespace {

// Shorter strands cost messages, longer ones leave nothing to overlap. These sizes are not tuned.
constexpr std::int64_t strand_bytes = std::int64_t{1} << 20;
constexpr std::int64_t tree_strand_bytes = std::int64_t{1} << 19;
/// Of a strand's message where every rank has a part of it.
constexpr std::int64_t least_part_bytes = std::int64_t{1} << 16;
/// Plans of very large messages stay small.
constexpr std::int64_t most_strands = 256;
/// Below 64 KiB with its header: btl_tcp_eager_limit of Open MPI 4.1 (ompi_info).
constexpr std::int64_t unasked_bytes = 60 << 10;
constexpr std::int64_t unasked_lanes = 8;

}  // namespace

Chunking chunking_for(Algorithm algorithm,
                      CollectiveOp op,
                      std::int64_t bytes,
                      std::int64_t ranks,
                      std::int64_t element_size) {
    // A chunk of an operation with parts has elements of every part.
    const bool has_parts = op == CollectiveOp::reduce_scatter || op == CollectiveOp::all_gather;
    const std::int64_t longest = bytes / element_size / (has_parts ? ranks : 1);
    const auto cut = [&](std::int64_t chunk, std::int64_t least, std::int64_t lanes) {
        const std::int64_t most = std::clamp(longest, std::int64_t{1}, most_strands);
        const std::int64_t strands = std::min(std::max(bytes / chunk, least), most);
        return Chunking{.strands = strands, .lanes = std::min(strands, lanes)};
    };
    switch (algorithm) {
        case Algorithm::ring:
        case Algorithm::scatter_all_gather:
        case Algorithm::halving_doubling:
            return cut(std::max(strand_bytes, ranks * least_part_bytes), 1, 4);
        case Algorithm::double_tree:
            return cut(tree_strand_bytes, 2, 8);
        case Algorithm::recursive_doubling:
            return op == CollectiveOp::all_reduce ? cut(strand_bytes, 1, 4) : Chunking{};
        case Algorithm::pairwise:
        case Algorithm::bruck:
        case Algorithm::binomial:
            break;
    }
    return {};
}

Chunking chunking_between_hosts(Algorithm algorithm,
                                CollectiveOp op,
                                std::int64_t bytes,
                                std::int64_t ranks,
                                std::int64_t element_size) {
    if (algorithm != Algorithm::ring && algorithm != Algorithm::scatter_all_gather) {
        return chunking_for(algorithm, op, bytes, ranks, element_size);
    }
    // Whatever the operation, a message is a strand's share of one part.
    const std::int64_t part = bytes / ranks;
    const std::int64_t wanted = (part + unasked_bytes - 1) / unasked_bytes;
    const std::int64_t most = std::clamp(part / element_size, std::int64_t{1}, most_strands);
    const std::int64_t strands = std::clamp(wanted, std::int64_t{1}, most);
    return {.strands = strands, .lanes = std::min(strands, unasked_lanes)};
}

}  // namespace traindyno
