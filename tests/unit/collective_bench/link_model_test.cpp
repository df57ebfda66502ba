// SPDX-License-Identifier: Apache-2.0
#include "emulator/collective_bench/link_model.hpp"

#include <cmath>
#include <optional>

#include <gtest/gtest.h>

namespace traindyno {
namespace {

constexpr LinkModel link{.alpha = 1e-5, .beta = 1e-9, .gamma = 0};
constexpr Bytes small{8};

TEST(LinkModel, is_the_cost_formula_of_the_named_algorithm) {
    const BenchModel model = model_of({.messages = link, .memory = std::nullopt});
    for (const std::int64_t ranks : {2, 4, 8}) {
        // Few bytes: rounds alone count. Ring 2 (n - 1), recursive doubling log2 n.
        const auto n = static_cast<double>(ranks);
        EXPECT_NEAR(*model("ring", BenchOp::all_reduce, small, ranks), 2 * (n - 1) * 1e-5, 1e-7);
        EXPECT_NEAR(*model("ring", BenchOp::all_gather, small, ranks), (n - 1) * 1e-5, 1e-7);
        EXPECT_NEAR(*model("recursive_doubling", BenchOp::all_reduce, small, ranks),
                    std::log2(n) * 1e-5,
                    1e-7);
        EXPECT_EQ(model("halving_doubling", BenchOp::reduce_scatter, Bytes{1 << 20}, ranks),
                  seconds(cost_of(Algorithm::halving_doubling,
                                  CollectiveOp::reduce_scatter,
                                  1 << 20,
                                  ranks,
                                  chunking_for(Algorithm::halving_doubling,
                                               CollectiveOp::reduce_scatter,
                                               1 << 20,
                                               ranks,
                                               4)),
                          link));
    }
    EXPECT_DOUBLE_EQ(*model("mpi", BenchOp::sendrecv, Bytes{1000}, 4), 1e-5 + 1e-6);
    EXPECT_GT(*model("mpi", BenchOp::broadcast, Bytes{1000}, 4), 1e-5);
}

TEST(LinkModel, says_nothing_of_what_it_knows_no_links_for) {
    const BenchModel model = model_of({.messages = link, .memory = std::nullopt});
    for (const char* backend : {"shm", "hierarchical", "auto", "serial"}) {
        EXPECT_EQ(model(backend, BenchOp::all_reduce, small, 4), std::nullopt) << backend;
        EXPECT_EQ(model(backend, BenchOp::sendrecv, small, 4), std::nullopt) << backend;
    }
}

TEST(LinkModel, of_shared_memory_counts_phases_and_bytes_moved) {
    const LinkModel memory{.alpha = 1e-6, .beta = 1e-10, .gamma = 0};
    constexpr std::int64_t mib = 1 << 20;
    const auto predicted = [&](BufferPlace buffers, std::int64_t bytes) {
        return *model_of({.messages = link, .memory = memory, .buffers = buffers})(
            "shm", BenchOp::all_reduce, Bytes{bytes}, 4);
    };
    // One phase: in (2 S), all four inputs (4 S), out (S).
    EXPECT_DOUBLE_EQ(predicted(BufferPlace::ordinary, 8), 1e-6 + 7 * 8e-10);
    // Direct: two phases, each byte read and written once. Staged: 4 MiB are 8 chunks of 4 x 128
    // KiB, one phase more, 5 S.
    EXPECT_DOUBLE_EQ(predicted(BufferPlace::shared, 4 * mib), 2e-6 + 2 * 4 * mib * 1e-10);
    EXPECT_DOUBLE_EQ(predicted(BufferPlace::ordinary, 4 * mib), 9e-6 + 5 * 4 * mib * 1e-10);
}

TEST(LinkModel, prints_its_parameters) {
    const std::string messages =
        "alpha 10.00 us, beta 1.000 ns/B, gamma 0.000 ns/B between neighbours, measured over MPI";
    EXPECT_EQ(describe({.messages = link, .memory = std::nullopt}), messages);
    EXPECT_EQ(describe({.messages = link, .memory = LinkModel{.alpha = 1e-6, .beta = 1e-10}}),
              messages + "; in shared memory alpha 1.00 us, beta 0.100 ns/B");
}

}  // namespace
}  // namespace traindyno
