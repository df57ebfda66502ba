// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/linear.hpp"

#include "emulator/base/error.hpp"
#include "emulator/program/parameter_map.hpp"

namespace traindyno {

namespace {

MatMul checked(const MatMul& op) {
    TD_EXPECT(op.a.elements == op.m * op.k);
    TD_EXPECT(op.b.elements == op.k * op.n);
    TD_EXPECT(op.c.elements == op.m * op.n);
    return op;
}

}  // namespace

MatMul forward(const Linear& linear, const Slice& x, const Slice& y) {
    return checked({.m = linear.tokens,
                    .n = linear.out,
                    .k = linear.in,
                    .transpose_b = Transpose::yes,
                    .a = x,
                    .b = linear.weight,
                    .c = y});
}

MatMul input_gradient(const Linear& linear, const Slice& dy, const Slice& dx) {
    return checked({.m = linear.tokens,
                    .n = linear.in,
                    .k = linear.out,
                    .a = dy,
                    .b = linear.weight,
                    .c = dx});
}

MatMul weight_gradient(const Linear& linear, const Slice& x, const Slice& dy) {
    return checked({.m = linear.out,
                    .n = linear.in,
                    .k = linear.tokens,
                    .transpose_a = Transpose::yes,
                    .accumulate = Accumulate::yes,
                    .a = dy,
                    .b = x,
                    .c = gradient_of(linear.weight)});
}

}  // namespace traindyno
