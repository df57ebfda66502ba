// SPDX-License-Identifier: Apache-2.0
#include "emulator/collective_bench/bench_case.hpp"

#include <algorithm>

#include "emulator/base/error.hpp"

namespace traindyno {

bool reduces(BenchOp op) {
    return op == BenchOp::all_reduce || op == BenchOp::reduce_scatter;
}

bool has(BenchOp op, Placement placement) {
    switch (op) {
        case BenchOp::all_reduce:
        case BenchOp::reduce_scatter:
        case BenchOp::all_gather:
            return true;
        case BenchOp::all_to_all:
        case BenchOp::sendrecv:
            return placement == Placement::apart;
        case BenchOp::broadcast:
            return placement == Placement::in_place;
    }
    return false;
}

OpShape shape_of(BenchOp op, Bytes wanted, DType type, std::int64_t ranks) {
    const std::int64_t all = std::max<std::int64_t>(wanted.value() / element_size(type), 1);
    const std::int64_t part = std::max<std::int64_t>(all / ranks, 1);
    switch (op) {
        case BenchOp::all_reduce:
        case BenchOp::sendrecv:
            return {.count = all, .in = all, .out = all};
        case BenchOp::reduce_scatter:
            return {.count = part, .in = part * ranks, .out = part};
        case BenchOp::all_gather:
            return {.count = part, .in = part, .out = part * ranks};
        case BenchOp::all_to_all:
            return {.count = part, .in = part * ranks, .out = part * ranks};
        case BenchOp::broadcast:
            return {.count = all, .in = 0, .out = all};
    }
    return {};
}

Bytes size_of(const OpShape& shape, DType type) {
    return size_of(std::max(shape.in, shape.out), type);
}

double bus_factor(BenchOp op, std::int64_t ranks) {
    const auto n = static_cast<double>(ranks);
    switch (op) {
        case BenchOp::all_reduce:
            return 2 * (n - 1) / n;
        case BenchOp::reduce_scatter:
        case BenchOp::all_gather:
        case BenchOp::all_to_all:
            return (n - 1) / n;
        case BenchOp::broadcast:
        case BenchOp::sendrecv:
            return 1;
    }
    return 0;
}

std::vector<OpShape> shapes_of(const SizeSweep& sweep, const BenchCase& what, std::int64_t ranks) {
    TD_EXPECT(sweep.factor > 1 || sweep.step > Bytes{0});
    TD_EXPECT(sweep.from > Bytes{0});
    std::vector<OpShape> shapes;
    for (Bytes size = sweep.from; size <= sweep.to;
         size = sweep.factor > 1 ? size * sweep.factor : size + sweep.step) {
        const OpShape shape = shape_of(what.op, size, what.type, ranks);
        if (shapes.empty() || shapes.back() != shape) {
            shapes.push_back(shape);
        }
        if (sweep.factor > 1 && size.value() > sweep.to.value() / sweep.factor) {
            break;  // the next would exceed `to`, if not 64 bits
        }
    }
    return shapes;
}

}  // namespace traindyno
