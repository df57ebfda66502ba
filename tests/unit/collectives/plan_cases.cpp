// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/collectives/plan_cases.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

#include <fmt/format.h>

namespace traindyno::test {

namespace {

bool has_parts(CollectiveOp op) {
    return op != CollectiveOp::all_reduce && op != CollectiveOp::broadcast;
}

/// Elements of a rank's input and work.
struct Sizes {
    std::int64_t input = 0;
    std::int64_t work = 0;
};

Sizes sizes_of(const PlanRequest& request) {
    const std::int64_t part = request.count / request.ranks;
    switch (request.op) {
        case CollectiveOp::reduce_scatter:
            return {.input = request.count, .work = part};
        case CollectiveOp::all_gather:
            return {.input = part, .work = request.count};
        case CollectiveOp::broadcast:
            return {.input = 0, .work = request.count};
        case CollectiveOp::all_reduce:
        case CollectiveOp::all_to_all:
            break;
    }
    return {.input = request.count, .work = request.count};
}

/// What `rank` gives as element i of its input: elements of the whole are numbered.
Symbol given(const PlanRequest& request, std::int64_t rank, std::int64_t i) {
    Symbol symbol{.element = i};
    if (request.op == CollectiveOp::all_gather) {
        symbol.element = rank * request.count / request.ranks + i;
    }
    symbol.times[static_cast<std::size_t>(rank)] = 1;
    return symbol;
}

SymbolMemory initial_memory(const PlanRequest& request) {
    const Sizes sizes = sizes_of(request);
    const std::int64_t part = request.count / request.ranks;
    SymbolMemory memory;
    if (request.placement == Placement::apart) {
        memory.work = sizes.input;
        memory.cells.resize(static_cast<std::size_t>(sizes.input + sizes.work));
    } else {
        memory.cells.resize(static_cast<std::size_t>(std::max(sizes.input, sizes.work)));
        memory.work = request.op == CollectiveOp::reduce_scatter ? request.rank * part : 0;
        memory.input = request.op == CollectiveOp::all_gather ? request.rank * part : 0;
    }
    for (std::int64_t i = 0; i < sizes.input; ++i) {
        memory.cells[static_cast<std::size_t>(memory.input + i)] = given(request, request.rank, i);
    }
    if (request.op == CollectiveOp::broadcast && request.rank == request.root) {
        for (std::int64_t i = 0; i < sizes.work; ++i) {
            memory.cells[static_cast<std::size_t>(i)] = given(request, request.rank, i);
        }
    }
    return memory;
}

/// What element i of `rank`'s result must be, but for its roundings.
Symbol wanted(const PlanRequest& request, std::int64_t rank, std::int64_t i) {
    const std::int64_t part = std::max<std::int64_t>(request.count / request.ranks, 1);
    switch (request.op) {
        case CollectiveOp::all_reduce:
        case CollectiveOp::reduce_scatter: {
            Symbol symbol{.element = request.op == CollectiveOp::all_reduce ? i : rank * part + i,
                          .finished = request.ranks > 1};
            std::fill_n(symbol.times.begin(), request.ranks, std::uint8_t{1});
            return symbol;
        }
        case CollectiveOp::all_gather:
            return given(request, i / part, i % part);
        case CollectiveOp::all_to_all:
            return given(request, i / part, rank * part + i % part);
        case CollectiveOp::broadcast:
            return given(request, request.root, i);
    }
    return {};
}

}  // namespace

std::vector<PlanCase> plan_cases() {
    std::vector<PlanCase> cases;
    for (std::size_t algorithm = 0; algorithm < enum_count<Algorithm>; ++algorithm) {
        for (std::size_t op = 0; op < enum_count<CollectiveOp>; ++op) {
            PlanCase each{.algorithm = static_cast<Algorithm>(algorithm),
                          .op = static_cast<CollectiveOp>(op)};
            if (has(each.algorithm, each.op)) {
                constexpr std::int64_t large = std::int64_t{1} << 40;
                each.cuts = chunking_for(each.algorithm, each.op, large, 4, 4).strands > 1;
                cases.push_back(each);
            }
        }
    }
    return cases;
}

PlanRequest request_for(const PlanCase& each,
                        std::int64_t ranks,
                        std::int64_t count,
                        Placement placement,
                        std::int64_t strands) {
    return {.algorithm = each.algorithm,
            .op = each.op,
            .ranks = ranks,
            .count = has_parts(each.op) ? count * ranks : count,
            .placement = placement,
            .chunking = {.strands = strands, .lanes = std::min<std::int64_t>(strands, 2)}};
}

PlanSimulation simulation_of(PlanRequest request) {
    std::vector<CollectivePlan> plans;
    std::vector<SymbolMemory> memory;
    for (request.rank = 0; request.rank < request.ranks; ++request.rank) {
        plans.push_back(build_plan(request));
        memory.push_back(initial_memory(request));
    }
    return {std::move(plans), std::move(memory)};
}

std::string verdict(const PlanSimulation& simulation, const PlanRequest& request) {
    const Sizes sizes = sizes_of(request);
    PlanRequest mine = request;
    for (mine.rank = 0; mine.rank < mine.ranks; ++mine.rank) {
        const SymbolMemory& memory = simulation.memory(mine.rank);
        std::vector<Symbol> expected = initial_memory(mine).cells;
        for (std::int64_t i = 0; i < sizes.work; ++i) {
            expected[static_cast<std::size_t>(memory.work + i)] = wanted(mine, mine.rank, i);
        }
        for (std::size_t i = 0; i < expected.size(); ++i) {
            Symbol found = memory.cells[i];
            found.roundings = 0;
            if (found != expected[i]) {
                return fmt::format("rank {}, cell {} is wrong", mine.rank, i);
            }
        }
    }
    return "";
}

std::vector<std::int64_t> group_sizes() {
    std::vector<std::int64_t> sizes(17);
    std::iota(sizes.begin(), sizes.end(), 1);
    sizes.insert(sizes.end(), {32, 33});
    return sizes;
}

std::vector<std::int64_t> counts_for(CollectiveOp op, std::int64_t ranks) {
    if (has_parts(op)) {
        return {0, 1, 3, 7};
    }
    return {0, 1, ranks - 1, ranks, ranks + 1, 2 * ranks + 3, 101};
}

std::string describe(const PlanRequest& request) {
    return fmt::format("{} {}, {} ranks, {} elements, {} strands, root {}{}",
                       to_string(request.algorithm),
                       to_string(request.op),
                       request.ranks,
                       request.count,
                       request.chunking.strands,
                       request.root,
                       request.placement == Placement::in_place ? ", in place" : "");
}

}  // namespace traindyno::test
