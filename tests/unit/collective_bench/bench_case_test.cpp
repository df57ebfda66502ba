// SPDX-License-Identifier: Apache-2.0
#include "emulator/collective_bench/bench_case.hpp"

#include <vector>

#include <gtest/gtest.h>

#include "emulator/collective_bench/bench_buffers.hpp"

namespace traindyno {
namespace {

constexpr std::array all_ops{BenchOp::all_reduce,
                             BenchOp::reduce_scatter,
                             BenchOp::all_gather,
                             BenchOp::all_to_all,
                             BenchOp::broadcast,
                             BenchOp::sendrecv};

TEST(BusFactor, is_what_nccl_tests_document) {
    for (const std::int64_t ranks : {1, 2, 3, 8, 1000}) {
        const auto n = static_cast<double>(ranks);
        EXPECT_DOUBLE_EQ(bus_factor(BenchOp::all_reduce, ranks), 2 * (n - 1) / n);
        EXPECT_DOUBLE_EQ(bus_factor(BenchOp::reduce_scatter, ranks), (n - 1) / n);
        EXPECT_DOUBLE_EQ(bus_factor(BenchOp::all_gather, ranks), (n - 1) / n);
        EXPECT_DOUBLE_EQ(bus_factor(BenchOp::all_to_all, ranks), (n - 1) / n);
        EXPECT_DOUBLE_EQ(bus_factor(BenchOp::broadcast, ranks), 1);
        EXPECT_DOUBLE_EQ(bus_factor(BenchOp::sendrecv, ranks), 1);
    }
}

TEST(ShapeOf, divides_the_size_among_parts_of_whole_elements) {
    EXPECT_EQ(shape_of(BenchOp::all_reduce, Bytes{100}, DType::fp32, 3),
              (OpShape{.count = 25, .in = 25, .out = 25}));
    EXPECT_EQ(shape_of(BenchOp::reduce_scatter, Bytes{100}, DType::fp32, 3),
              (OpShape{.count = 8, .in = 24, .out = 8}));
    EXPECT_EQ(shape_of(BenchOp::all_gather, Bytes{100}, DType::bf16, 3),
              (OpShape{.count = 16, .in = 16, .out = 48}));
    EXPECT_EQ(shape_of(BenchOp::all_to_all, Bytes{100}, DType::fp64, 3),
              (OpShape{.count = 4, .in = 12, .out = 12}));
    EXPECT_EQ(size_of(shape_of(BenchOp::all_gather, Bytes{100}, DType::bf16, 3), DType::bf16),
              Bytes{96});
}

TEST(ShapeOf, has_an_element_per_part_at_least) {
    for (const BenchOp op : all_ops) {
        EXPECT_EQ(shape_of(op, Bytes{1}, DType::fp64, 5).count, 1) << to_string(op);
    }
}

std::vector<std::int64_t> counts(const SizeSweep& sweep, const BenchCase& what, std::int64_t n) {
    std::vector<std::int64_t> found;
    for (const OpShape& shape : shapes_of(sweep, what, n)) {
        found.push_back(shape.count);
    }
    return found;
}

TEST(ShapesOf, multiply_or_add_and_include_both_ends) {
    EXPECT_EQ(counts({.from = Bytes{4}, .to = Bytes{64}, .step = Bytes{0}, .factor = 4}, {}, 2),
              (std::vector<std::int64_t>{1, 4, 16}));
    EXPECT_EQ(counts({.from = Bytes{8}, .to = Bytes{30}, .step = Bytes{8}, .factor = 1}, {}, 2),
              (std::vector<std::int64_t>{2, 4, 6}));
    EXPECT_EQ(counts({.from = Bytes{8}, .to = Bytes{8}, .step = Bytes{8}, .factor = 1}, {}, 2),
              (std::vector<std::int64_t>{2}));
    const Bytes huge{std::int64_t{1} << 62};
    EXPECT_EQ(counts({.from = huge, .to = huge, .step = Bytes{0}, .factor = 1000}, {}, 2),
              (std::vector<std::int64_t>{std::int64_t{1} << 60}));
}

TEST(ShapesOf, leave_out_sizes_that_come_to_the_same) {
    const BenchCase what{.op = BenchOp::all_gather};
    EXPECT_EQ(counts({.from = Bytes{4}, .to = Bytes{64}, .step = Bytes{0}, .factor = 2}, what, 4),
              (std::vector<std::int64_t>{1, 2, 4}));
}

TEST(BenchBuffers, lie_apart_or_where_in_place_means) {
    constexpr GroupRank rank{2};
    for (const BenchOp op : all_ops) {
        const BenchCase what{.op = op};
        const OpShape shape = shape_of(op, Bytes{120}, what.type, 3);
        const BenchBuffers buffers(shape, what.type, ordinary_memory());
        if (has(op, Placement::apart)) {
            const OpBuffers apart = buffers.of(what, shape, Placement::apart, rank);
            EXPECT_NE(apart.in.data(), apart.out.data()) << to_string(op);
            EXPECT_EQ(apart.in.size(), 4 * static_cast<std::size_t>(shape.in));
            EXPECT_EQ(apart.out.size(), 4 * static_cast<std::size_t>(shape.out));
        }
        if (has(op, Placement::in_place)) {
            const OpBuffers same = buffers.of(what, shape, Placement::in_place, rank);
            const auto part = static_cast<std::ptrdiff_t>(2 * 4 * shape.count);
            EXPECT_EQ(same.out.data() - same.in.data(),
                      op == BenchOp::reduce_scatter ? part
                      : op == BenchOp::all_gather   ? -part
                                                    : 0)
                << to_string(op);
        }
    }
    EXPECT_EQ(BenchBuffers::needed({.count = 5, .in = 5, .out = 15}, DType::bf16), Bytes{60});
}

}  // namespace
}  // namespace traindyno
