// SPDX-License-Identifier: Apache-2.0
// Costs against the textbook's formulas; build_plan_test.cpp counts the same in plans.
#include "collectives/cost/cost.hpp"

#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>

#include "collectives/cost/hierarchical_cost.hpp"
#include "collectives/cost/shared_memory_cost.hpp"

namespace traindyno {

namespace {

constexpr std::int64_t mib = std::int64_t{1} << 20;
constexpr LinkModel link{.alpha = 1e-5, .beta = 1e-9, .gamma = 0};

double time_of(Algorithm algorithm, CollectiveOp op, std::int64_t bytes, std::int64_t ranks) {
    return seconds(cost_of(algorithm, op, bytes, ranks), link);
}

/// The same to one part in 10^9.
void expect_close(double a, double b) {
    EXPECT_NEAR(a, b, 1e-9 * std::abs(b));
}

TEST(Cost, all_reduce_takes_the_time_that_thakur_et_al_give) {
    for (const std::int64_t n : {2, 4, 8, 64}) {
        const auto ranks = static_cast<double>(n);
        const double all = static_cast<double>(mib) * link.beta;
        const double steps = std::log2(ranks);
        expect_close(time_of(Algorithm::ring, CollectiveOp::all_reduce, mib, n),
                     2 * (ranks - 1) * link.alpha + 2 * (ranks - 1) / ranks * all);
        expect_close(time_of(Algorithm::halving_doubling, CollectiveOp::all_reduce, mib, n),
                     2 * steps * link.alpha + 2 * (ranks - 1) / ranks * all);
        expect_close(time_of(Algorithm::recursive_doubling, CollectiveOp::all_reduce, mib, n),
                     steps * (link.alpha + all));
    }
}

TEST(Cost, reductions_add_gamma_per_byte_reduced) {
    const LinkModel slow_sums{.alpha = 0, .beta = 0, .gamma = 1e-9};
    const Cost ring = cost_of(Algorithm::ring, CollectiveOp::all_reduce, mib, 8);
    expect_close(seconds(ring, slow_sums), 7.0 / 8 * static_cast<double>(mib) * 1e-9);
    const Cost gather = cost_of(Algorithm::ring, CollectiveOp::all_gather, mib, 8);
    EXPECT_EQ(seconds(gather, slow_sums), 0);
}

TEST(Cost, a_pipelined_double_tree_sends_two_messages_worth_of_bytes) {
    const std::int64_t bytes = 64 * mib;
    const Chunking chunking{.strands = 512, .lanes = 16};
    const Cost tree =
        cost_of(Algorithm::double_tree, CollectiveOp::all_reduce, bytes, 64, chunking);
    EXPECT_EQ(tree.bytes, 2 * bytes);
    EXPECT_EQ(tree.rounds, 2 * 6);
    // With enough chunks under way the links are busy all the time.
    expect_close(seconds(tree, link), 12 * link.alpha + 2 * static_cast<double>(bytes) * 1e-9);
}

TEST(Cost, a_strand_at_a_time_adds_up) {
    const Cost whole =
        cost_of(Algorithm::ring, CollectiveOp::all_reduce, 8 * mib, 4, {.strands = 8, .lanes = 1});
    const Cost piece = cost_of(Algorithm::ring, CollectiveOp::all_reduce, mib, 4);
    expect_close(seconds(whole, link), 8 * seconds(piece, link));
}

TEST(Cost, nothing_and_nobody_cost_nothing) {
    for (std::size_t algorithm = 0; algorithm < enum_count<Algorithm>; ++algorithm) {
        for (std::size_t op = 0; op < enum_count<CollectiveOp>; ++op) {
            const auto by = static_cast<Algorithm>(algorithm);
            EXPECT_EQ(time_of(by, static_cast<CollectiveOp>(op), 0, 8), 0);
            EXPECT_EQ(time_of(by, static_cast<CollectiveOp>(op), mib, 1), 0);
        }
    }
}

TEST(Cost, every_algorithm_has_a_partner_for_every_operation) {
    for (std::size_t algorithm = 0; algorithm < enum_count<Algorithm>; ++algorithm) {
        for (std::size_t op = 0; op < enum_count<CollectiveOp>; ++op) {
            const auto by = static_cast<Algorithm>(algorithm);
            const auto what = static_cast<CollectiveOp>(op);
            EXPECT_TRUE(has(algorithm_for(by, what), what));
            EXPECT_TRUE(!has(by, what) || algorithm_for(by, what) == by);
        }
    }
}

TEST(Chunking, never_cuts_finer_than_elements_and_leaves_small_messages_whole) {
    for (std::size_t algorithm = 0; algorithm < enum_count<Algorithm>; ++algorithm) {
        for (std::size_t op = 0; op < enum_count<CollectiveOp>; ++op) {
            const auto by = static_cast<Algorithm>(algorithm);
            const auto what = static_cast<CollectiveOp>(op);
            for (const std::int64_t bytes : {std::int64_t{0}, std::int64_t{8}, 64 * mib}) {
                const Chunking chunking = chunking_for(by, what, bytes, 8, 8);
                EXPECT_LE(chunking.strands, std::max<std::int64_t>(bytes / 8, 1));
                EXPECT_GE(chunking.strands, chunking.lanes);
                EXPECT_GE(chunking.lanes, 1);
            }
            EXPECT_EQ(chunking_for(by, what, 8, 8, 8), Chunking{});
        }
    }
}

TEST(Chunking, between_hosts_messages_of_a_ring_are_sent_unasked) {
    constexpr std::int64_t unasked = 60 << 10;
    for (const CollectiveOp op :
         {CollectiveOp::all_reduce, CollectiveOp::reduce_scatter, CollectiveOp::all_gather}) {
        for (const std::int64_t ranks : {2, 4, 7}) {
            for (const std::int64_t bytes : {std::int64_t{0}, std::int64_t{28}, mib, 16 * mib}) {
                const std::int64_t whole = bytes / (4 * ranks) * (4 * ranks);
                const Chunking chunking =
                    chunking_between_hosts(Algorithm::ring, op, whole, ranks, 4);
                const std::int64_t message = whole / ranks / chunking.strands;
                EXPECT_LE(message, unasked);
                EXPECT_TRUE(chunking.strands == 1 || 2 * message > unasked);
                EXPECT_LE(chunking.strands, std::max<std::int64_t>(whole / ranks / 4, 1));
                EXPECT_GE(chunking.strands, chunking.lanes);
            }
        }
    }
    EXPECT_EQ(chunking_between_hosts(
                  Algorithm::halving_doubling, CollectiveOp::all_reduce, 64 * mib, 8, 4),
              chunking_for(Algorithm::halving_doubling, CollectiveOp::all_reduce, 64 * mib, 8, 4));
}

TEST(SharedMemoryCost, direct_all_reduce_reads_and_writes_each_byte_once) {
    for (const std::int64_t ranks : {2, 4, 8}) {
        const Cost cost =
            shared_memory_cost(SharedPath::direct, CollectiveOp::all_reduce, mib, ranks);
        EXPECT_EQ(cost.bytes, 2 * mib);  // the bound: each input is read, each output written
        EXPECT_EQ(cost.reduced, mib / ranks * (ranks - 1));
        EXPECT_EQ(cost.messages, 0);
    }
}

TEST(SharedMemoryCost, goes_by_what_a_member_shows_at_once) {
    using Op = CollectiveOp;
    constexpr std::int64_t kib = 1 << 10;
    const SharedWay at_once{.path = SharedPath::one_shot, .windows = 1};
    const SharedWay direct{.path = SharedPath::direct, .windows = 1};
    EXPECT_EQ(shared_way(Op::all_reduce, 16 * kib, 4, BufferPlace::shared), at_once);
    EXPECT_EQ(shared_way(Op::all_reduce, 16 * kib + 1, 4, BufferPlace::shared), direct);
    EXPECT_EQ(shared_way(Op::reduce_scatter, 64 * kib - 8, 4, BufferPlace::ordinary), at_once);
    // A gathering member shows its part alone.
    EXPECT_EQ(shared_way(Op::all_gather, 4 * (64 * kib - 8), 4, BufferPlace::ordinary), at_once);
    EXPECT_EQ(shared_way(Op::all_gather, 4 * mib, 4, BufferPlace::shared), direct);
    // 128 KiB for each member: of sums a part's worth, of a broadcast as much as for all four.
    EXPECT_EQ(shared_way(Op::all_reduce, 4 * mib, 4, BufferPlace::ordinary).windows, 8);
    EXPECT_EQ(shared_way(Op::broadcast, 4 * mib, 4, BufferPlace::ordinary).windows, 8);
    EXPECT_EQ(shared_way(Op::all_gather, 4 * mib, 4, BufferPlace::ordinary).windows, 2);
}

TEST(SharedMemoryCost, copies_through_windows_come_on_top) {
    for (std::size_t op = 0; op < enum_count<CollectiveOp>; ++op) {
        const auto what = static_cast<CollectiveOp>(op);
        const auto bytes_of = [&](SharedPath path) {
            return shared_memory_cost(path, what, mib, 4, 2).bytes;
        };
        EXPECT_GE(bytes_of(SharedPath::staged), bytes_of(SharedPath::direct));
        EXPECT_GE(bytes_of(SharedPath::one_shot), bytes_of(SharedPath::direct));
    }
    // In (2 S), a slice of all inputs read (S), its sum written twice (2 S/p), the others' slices
    // fetched (2 S - 2 S/p).
    EXPECT_EQ(shared_memory_cost(SharedPath::staged, CollectiveOp::all_reduce, mib, 4, 2).bytes,
              5 * mib);
}

TEST(HierarchicalCost, a_node_sends_no_more_than_a_ring_of_nodes_must) {
    for (const std::int64_t nodes : {2, 4, 8}) {
        for (const std::int64_t ranks_each : {1, 2, 8}) {
            const Nodes shape{.nodes = nodes, .ranks_each = ranks_each};
            const HierarchicalCost cost =
                hierarchical_cost(CollectiveOp::all_reduce, mib, shape, {});
            EXPECT_EQ(cost.across.bytes, 2 * (nodes - 1) * mib / nodes);
            EXPECT_EQ(cost.across.rounds, 2 * (nodes - 1));
        }
    }
}

TEST(HierarchicalCost, chunks_hide_the_faster_level_behind_the_slower_one) {
    const Nodes shape{.nodes = 4, .ranks_each = 2};
    const LinkModel inside{.alpha = 0, .beta = 1e-10, .gamma = 0};
    const auto time_in = [&](std::int64_t chunks) {
        return seconds(
            hierarchical_cost(CollectiveOp::all_reduce, 64 * mib, shape, {.chunks = chunks}),
            inside,
            {.alpha = 0, .beta = 1e-9, .gamma = 0});
    };
    const double wire = 1.5 * 64 * static_cast<double>(mib) * 1e-9;
    EXPECT_GT(time_in(1), 1.1 * wire);
    EXPECT_LT(time_in(64), 1.01 * wire);
    EXPECT_GE(time_in(64), wire);
}

TEST(HierarchicalCost, one_node_stays_inside) {
    const HierarchicalCost cost =
        hierarchical_cost(CollectiveOp::all_reduce, mib, {.nodes = 1, .ranks_each = 8}, {});
    EXPECT_EQ(cost.across, Cost{});
    EXPECT_GT(cost.inside_first.bytes, 0);
}

}  // namespace

}  // namespace traindyno
