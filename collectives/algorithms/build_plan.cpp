// SPDX-License-Identifier: Apache-2.0
#include "collectives/algorithms/build_plan.hpp"

#include <algorithm>
#include <vector>

#include "collectives/algorithms/strands.hpp"
#include "collectives/cost/parts.hpp"
#include "emulator/base/error.hpp"

namespace traindyno {

namespace {

/// Parts that are cut into strands side by side.
std::int64_t parts_in(const PlanRequest& request) {
    const bool has_parts =
        request.op != CollectiveOp::all_reduce && request.op != CollectiveOp::broadcast;
    return has_parts ? request.ranks : 1;
}

void check(const PlanRequest& request) {
    TD_EXPECT(request.rank >= 0 && request.rank < request.ranks);
    TD_EXPECT(request.root >= 0 && request.root < request.ranks);
    TD_EXPECT(request.chunking.lanes > 0 && request.chunking.lanes <= request.chunking.strands);
    TD_EXPECT(request.count >= 0 && request.count % parts_in(request) == 0);
    TD_EXPECT(request.op != CollectiveOp::all_to_all || request.placement != Placement::in_place);
}

/// A group of one: the input is the result.
void copy_alone(StrandWriter& writer, const PlanRequest& request, const Chunk& chunk) {
    if (request.op != CollectiveOp::broadcast && request.placement == Placement::apart) {
        writer.copy(chunk.of(PlanBuffer::input), chunk.of(PlanBuffer::work));
    }
}

void write_strand(StrandWriter& writer,
                  const PlanRequest& request,
                  const Chunk& chunk,
                  std::int64_t strand) {
    const Member member{
        .rank = request.rank, .ranks = request.ranks, .placement = request.placement};
    const bool all_reduce = request.op == CollectiveOp::all_reduce;
    switch (algorithm_for(request.algorithm, request.op)) {
        case Algorithm::ring:
            return all_reduce ? ring_all_reduce(writer, member, chunk)
                   : request.op == CollectiveOp::reduce_scatter
                       ? ring_reduce_scatter(writer, member, chunk)
                       : ring_all_gather(writer, member, chunk);
        case Algorithm::recursive_doubling:
            return all_reduce ? doubling_all_reduce(writer, member, chunk)
                              : doubling_all_gather(writer, member, chunk);
        case Algorithm::halving_doubling:
            return all_reduce ? halving_all_reduce(writer, member, chunk)
                              : halving_reduce_scatter(writer, member, chunk);
        case Algorithm::double_tree:
            return all_reduce ? tree_all_reduce(writer, member, chunk, strand)
                              : tree_broadcast(writer, member, chunk, strand, request.root);
        case Algorithm::bruck:
            return bruck_all_to_all(writer, member, chunk);
        case Algorithm::binomial:
            return binomial_broadcast(writer, member, chunk, request.root);
        case Algorithm::scatter_all_gather:
            return scatter_all_gather_broadcast(writer, member, chunk, request.root);
        case Algorithm::pairwise:  // build_exchange
            break;
    }
    TD_EXPECT(request.algorithm != Algorithm::pairwise);
}

}  // namespace

Summands summands_of(const Member& member, const Chunk& chunk) {
    const bool in_place = member.placement == Placement::in_place;
    return {.own = chunk.of(in_place ? PlanBuffer::work : PlanBuffer::input),
            .sum = chunk.of(PlanBuffer::work)};
}

CollectivePlan build_plan(const PlanRequest& request) {
    check(request);
    if (request.count == 0) {
        return {};
    }
    const Algorithm algorithm = algorithm_for(request.algorithm, request.op);
    const std::int64_t part = request.count / parts_in(request);
    if (algorithm == Algorithm::pairwise) {
        const std::vector<std::int64_t> sizes(static_cast<std::size_t>(request.ranks), part);
        return build_exchange(request.rank, sizes, sizes);
    }
    const auto& [strands, lanes] = request.chunking;
    const Parts chunks{part, strands};
    CollectivePlan plan{.strands = {}, .lanes = lanes};
    for (std::int64_t strand = 0; strand < strands; ++strand) {
        const Chunk chunk{
            .first = chunks.begin(strand), .count = chunks.size(strand), .part = part};
        StrandWriter writer;
        if (request.ranks == 1) {
            copy_alone(writer, request, chunk);
        } else {
            write_strand(writer, request, chunk, strand);
        }
        plan.strands.push_back(writer.take());
        plan.lane_scratch = std::max(plan.lane_scratch, writer.scratch());
    }
    return plan;
}

}  // namespace traindyno
