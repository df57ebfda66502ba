// SPDX-License-Identifier: Apache-2.0
#include "collectives/cost/cost.hpp"

#include <algorithm>
#include <bit>

#include "collectives/cost/parts.hpp"
#include "emulator/base/error.hpp"

namespace traindyno {

namespace {

/// One strand; the figures of Cost.
struct StrandCost {
    std::int64_t rounds = 0;
    std::int64_t path = 0;
    std::int64_t messages = 0;
    std::int64_t bytes = 0;
    std::int64_t reduced = 0;
};

/// Bytes of members 0 .. 2^j - 1, summed over j = 0 .. steps - 1: the halves that member 0, whose
/// blocks are the longest, keeps. `begin(i)` is the first byte of member i.
template <class Begin>
std::int64_t halving_bytes(const Folding& folding, Begin&& begin) {
    std::int64_t sum = 0;
    for (std::int64_t j = 0; j < folding.steps; ++j) {
        sum += begin(std::int64_t{1} << j);
    }
    return sum;
}

StrandCost ring(CollectiveOp op, std::int64_t count, std::int64_t ranks) {
    const Parts parts{count, ranks};
    const std::int64_t steps = ranks - 1;
    if (op == CollectiveOp::all_reduce) {
        // Rank n - 3 keeps back the two shortest parts, one in each half; rank 0 the last one.
        const std::int64_t kept = parts.size(ranks - 2) + parts.shortest();
        return {.rounds = 2 * steps,
                .path = 2 * steps * parts.longest(),
                .messages = 2 * steps,
                .bytes = 2 * count - kept,
                .reduced = count - parts.shortest()};
    }
    const std::int64_t moved = count - parts.shortest();
    return {.rounds = steps,
            .path = steps * parts.longest(),
            .messages = steps,
            .bytes = moved,
            .reduced = op == CollectiveOp::reduce_scatter ? moved : 0};
}

StrandCost recursive_doubling(CollectiveOp op, std::int64_t count, std::int64_t ranks) {
    const Folding folding = Folding::of(ranks);
    if (op == CollectiveOp::all_gather) {
        const std::int64_t rounds = rounds_to_reach(ranks);
        // What the last rank sends wraps round to the first: two messages from the second round
        // on, unless a single part is left for the last round.
        const std::int64_t last = ranks - (std::int64_t{1} << (rounds - 1));
        const std::int64_t wrapped = folding.folded == 0 ? 0 : rounds - 2 + (last > 1 ? 1 : 0);
        const std::int64_t moved = count / ranks * (ranks - 1);
        return {.rounds = rounds, .path = moved, .messages = rounds + wrapped, .bytes = moved};
    }
    const std::int64_t fold = folding.folded > 0 ? 1 : 0;
    return {.rounds = folding.steps + 2 * fold,
            .path = (folding.steps + 2 * fold) * count,
            .messages = folding.steps + fold,
            .bytes = (folding.steps + fold) * count,
            .reduced = (folding.steps + fold) * count};
}

StrandCost halving_doubling(CollectiveOp op, std::int64_t count, std::int64_t ranks) {
    const Folding folding = Folding::of(ranks);
    const bool folds = folding.folded > 0;
    const Parts halves{count, 2};
    // Before: a pair exchanges halves, then the odd rank hands its sum over.
    const std::int64_t before_path = folds ? count : 0;
    const std::int64_t before_sent = folds ? halves.size(1) : 0;
    const std::int64_t before_reduced = folds ? halves.size(0) : 0;
    if (op == CollectiveOp::all_reduce) {
        const Parts parts{count, folding.members()};
        const std::int64_t blocks =
            halving_bytes(folding, [&](std::int64_t member) { return parts.begin(member); });
        const std::int64_t after = folds ? count : 0;
        // Halving, member 0 gives away all but its part; doubling, it sends its blocks.
        return {.rounds = 2 * folding.steps + (folds ? 3 : 0),
                .path = before_path + 2 * blocks + after,
                .messages = 2 * folding.steps + (folds ? 2 : 0),
                .bytes = before_sent + count - parts.longest() + blocks + after,
                .reduced = before_reduced + blocks};
    }
    const std::int64_t part = count / ranks;
    const std::int64_t blocks =
        halving_bytes(folding, [&](std::int64_t member) { return part * folding.rank_of(member); });
    return {.rounds = folding.steps + (folds ? 3 : 0),
            .path = before_path + blocks + (folds ? part : 0),
            .messages = folding.steps + (folds ? 2 : 0),
            .bytes = before_sent + count - part,
            .reduced = before_reduced + blocks};
}

StrandCost all_to_all(Algorithm algorithm, std::int64_t count, std::int64_t ranks) {
    const std::int64_t part = count / ranks;
    if (algorithm == Algorithm::pairwise) {
        const std::int64_t moved = (ranks - 1) * part;
        return {.rounds = ranks - 1, .path = moved, .messages = ranks - 1, .bytes = moved};
    }
    // Bruck: a part for the rank at distance i travels once for every bit of i.
    std::int64_t hops = 0;
    for (std::int64_t i = 1; i < ranks; ++i) {
        hops += std::popcount(static_cast<std::uint64_t>(i));
    }
    const std::int64_t rounds = rounds_to_reach(ranks);
    return {.rounds = rounds, .path = hops * part, .messages = rounds, .bytes = hops * part};
}

StrandCost broadcast(Algorithm algorithm, std::int64_t count, std::int64_t ranks) {
    const std::int64_t rounds = rounds_to_reach(ranks);
    if (algorithm == Algorithm::binomial) {
        return {
            .rounds = rounds, .path = rounds * count, .messages = rounds, .bytes = rounds * count};
    }
    // The root scatters all but its part, then sends all but its neighbour's round the ring.
    const Parts parts{count, ranks};
    return {.rounds = rounds + ranks - 1,
            .path = count - parts.longest() + (ranks - 1) * parts.longest(),
            .messages = rounds + ranks - 1,
            .bytes = 2 * count - parts.size(0) - parts.size(1)};
}

StrandCost strand_cost(Algorithm algorithm,
                       CollectiveOp op,
                       std::int64_t count,
                       std::int64_t ranks) {
    switch (algorithm) {
        case Algorithm::ring:
            return ring(op, count, ranks);
        case Algorithm::recursive_doubling:
            return recursive_doubling(op, count, ranks);
        case Algorithm::halving_doubling:
            return halving_doubling(op, count, ranks);
        case Algorithm::pairwise:
        case Algorithm::bruck:
            return all_to_all(algorithm, count, ranks);
        case Algorithm::binomial:
        case Algorithm::scatter_all_gather:
            return broadcast(algorithm, count, ranks);
        case Algorithm::double_tree:
            break;
    }
    TD_EXPECT(algorithm != Algorithm::double_tree);
    return {};
}

/// Levels below the root's only child, and whether that child has two children itself.
struct TreeShape {
    explicit TreeShape(std::int64_t ranks)
        : levels(Folding::of(ranks - 1).steps), full_top(ranks - 1 > (std::int64_t{1} << levels)) {}

    std::int64_t levels;
    bool full_top;
};

/// A rank with two children in the tree of the even strands is a leaf in the other.
Cost double_tree(CollectiveOp op, std::int64_t count, std::int64_t ranks, Chunking chunking) {
    const TreeShape shape{ranks};
    const Parts chunks{count, chunking.strands};
    const std::int64_t even_strands = (chunking.strands + 1) / 2;
    const std::int64_t odd_strands = chunking.strands / 2;
    const std::int64_t even = even_strands * chunks.shortest() + (count % chunking.strands + 1) / 2;
    const std::int64_t odd = count - even;
    const std::int64_t depth = shape.levels + 1;
    // A rank receives from two children, or sends to them, one after the other.
    const std::int64_t chain =
        shape.levels == 0 ? 1 : 1 + 2 * (shape.levels - 1) + (shape.full_top ? 2 : 1);
    const bool two_children = ranks >= 4;
    const auto down = [&](std::int64_t in_even, std::int64_t in_odd) {
        return two_children ? 2 * in_even : in_even + in_odd;
    };
    // Upwards every rank but the root sends once in both trees.
    const auto both = [&](std::int64_t in_even, std::int64_t in_odd) {
        return two_children ? 3 * in_even + in_odd
               : ranks == 3 ? 2 * in_even + in_odd
                            : in_even + in_odd;
    };
    if (op == CollectiveOp::broadcast) {
        return {.rounds = depth,
                .path = chain * chunks.longest(),
                .messages = down(even_strands, odd_strands),
                .bytes = down(even, odd),
                .chunking = chunking};
    }
    return {.rounds = 2 * depth,
            .path = 2 * chain * chunks.longest(),
            .messages = both(even_strands, odd_strands),
            .bytes = both(even, odd),
            .reduced = down(even, odd),
            .chunking = chunking};
}

}  // namespace

Cost cost_of(Algorithm algorithm,
             CollectiveOp op,
             std::int64_t bytes,
             std::int64_t ranks,
             Chunking chunking) {
    TD_EXPECT(bytes >= 0 && ranks > 0 && chunking.strands > 0 && chunking.lanes > 0);
    if (bytes == 0 || ranks == 1) {
        return {};
    }
    const Algorithm carrier = algorithm_for(algorithm, op);
    if (carrier == Algorithm::double_tree) {
        return double_tree(op, bytes, ranks, chunking);
    }
    const bool has_parts = op == CollectiveOp::reduce_scatter || op == CollectiveOp::all_gather;
    const std::int64_t scale = has_parts ? ranks : 1;
    const Parts chunks{bytes / scale, chunking.strands};
    const StrandCost longest = strand_cost(carrier, op, scale * chunks.longest(), ranks);
    const StrandCost shortest = strand_cost(carrier, op, scale * chunks.shortest(), ranks);
    const std::int64_t longer = chunks.count % chunks.parts;
    const auto total = [&](std::int64_t StrandCost::*figure) {
        return longer * longest.*figure + (chunks.parts - longer) * shortest.*figure;
    };
    return {.rounds = longest.rounds,
            .path = longest.path,
            .messages = total(&StrandCost::messages),
            .bytes = total(&StrandCost::bytes),
            .reduced = total(&StrandCost::reduced),
            .chunking = chunking};
}

double seconds(const Cost& cost, const LinkModel& link) {
    const auto& [strands, lanes] = cost.chunking;
    const std::int64_t strands_per_lane = (strands + lanes - 1) / lanes;
    const auto in_a_lane = static_cast<double>(strands_per_lane);
    const double latency = link.alpha * static_cast<double>(cost.rounds);
    const double chain = in_a_lane * (latency + link.beta * static_cast<double>(cost.path));
    const double port = latency + link.beta * static_cast<double>(cost.bytes);
    return std::max(chain, port) + link.gamma * static_cast<double>(cost.reduced);
}

std::int64_t roundings(Algorithm algorithm, CollectiveOp op, std::int64_t ranks) {
    if (ranks == 1) {
        return 0;
    }
    switch (algorithm_for(algorithm, op)) {
        case Algorithm::ring:
            return op == CollectiveOp::all_gather ? 0 : ranks - 1;
        case Algorithm::recursive_doubling:
        case Algorithm::halving_doubling:
            return op == CollectiveOp::all_gather ? 0 : rounds_to_reach(ranks);
        case Algorithm::double_tree: {
            const TreeShape shape{ranks};
            const bool adds = op == CollectiveOp::all_reduce;
            return adds ? std::max<std::int64_t>(2 * shape.levels + (shape.full_top ? 1 : 0), 1)
                        : 0;
        }
        case Algorithm::pairwise:
        case Algorithm::bruck:
        case Algorithm::binomial:
        case Algorithm::scatter_all_gather:
            return 0;
    }
    return 0;
}

Algorithm usual_algorithm(CollectiveOp op, std::int64_t bytes, std::int64_t ranks) {
    constexpr std::int64_t kib = 1024;
    switch (op) {
        case CollectiveOp::all_reduce:
            return bytes <= 2 * kib ? Algorithm::recursive_doubling : Algorithm::halving_doubling;
        case CollectiveOp::reduce_scatter:
            return bytes < 512 * kib ? Algorithm::halving_doubling : Algorithm::ring;
        case CollectiveOp::all_gather:
            return bytes < 512 * kib ? Algorithm::recursive_doubling : Algorithm::ring;
        case CollectiveOp::all_to_all:
            return bytes / ranks <= 256 ? Algorithm::bruck : Algorithm::pairwise;
        case CollectiveOp::broadcast:
            return bytes < 12 * kib || ranks < 8 ? Algorithm::binomial
                                                 : Algorithm::scatter_all_gather;
    }
    return Algorithm::ring;
}

}  // namespace traindyno
