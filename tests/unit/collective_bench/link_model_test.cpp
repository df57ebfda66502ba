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
    const BenchModel model = model_of(link);
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

TEST(LinkModel, says_nothing_of_what_is_not_made_of_messages) {
    const BenchModel model = model_of(link);
    for (const char* backend : {"shm", "hierarchical", "auto", "serial"}) {
        EXPECT_EQ(model(backend, BenchOp::all_reduce, small, 4), std::nullopt) << backend;
        EXPECT_EQ(model(backend, BenchOp::sendrecv, small, 4), std::nullopt) << backend;
    }
}

TEST(LinkModel, prints_its_parameters) {
    EXPECT_EQ(describe(link), "alpha 10.00 us, beta 1.000 ns/B, gamma 0.000 ns/B");
}

}  // namespace
}  // namespace traindyno
