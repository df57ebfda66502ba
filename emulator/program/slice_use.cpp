// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/slice_use.hpp"

#include "emulator/base/overloaded.hpp"

namespace traindyno {

namespace {

class Uses {
  public:
    void operator()(const MatMul& op) {
        read(op.a);
        read(op.b);
        if (op.accumulate == Accumulate::yes) {
            read(op.c);
        }
        write(op.c);
    }

    void operator()(const AttentionForward& op) {
        read(op.qkv);
        if (op.keys > 0) {
            read(op.keys_values);
        }
        write(op.context);
        write(op.statistics);
    }

    void operator()(const AttentionBackward& op) {
        for (const Slice& slice : {op.qkv, op.context, op.statistics, op.grad_context}) {
            read(slice);
        }
        write(op.grad_qkv);
        if (op.keys > 0) {
            read(op.keys_values);
            write(op.grad_keys_values);
        }
    }

    void operator()(const Elementwise& op) {
        for (const Slice& slice : op.reads) {
            read(slice);
        }
        for (const Slice& slice : op.writes) {
            if (slice.space == Space::gradient && op.kind != ElementwiseKind::zero &&
                op.kind != ElementwiseKind::copy) {
                read(slice);  // parameter gradients accumulate over micro-batches
            }
            write(slice);
        }
    }

    void operator()(const OptimizerStep& op) {
        read(slice_of(op, Space::gradient));
        for (const Space state : {Space::master, Space::adam_m, Space::adam_v}) {
            read(slice_of(op, state));
            write(slice_of(op, state));
        }
        write(slice_of(op, Space::parameter));
    }

    void operator()(const Collective& op) {
        read(op.input);
        write(op.output);
    }

    void operator()(const Send& op) { read(op.buffer); }

    void operator()(const Recv& op) { write(op.buffer); }

    [[nodiscard]] std::vector<SliceUse> take() { return std::move(uses_); }

  private:
    void read(const Slice& slice) { uses_.push_back({.slice = slice, .access = Access::read}); }

    void write(const Slice& slice) { uses_.push_back({.slice = slice, .access = Access::write}); }

    std::vector<SliceUse> uses_;
};

}  // namespace

std::vector<SliceUse> slices_of(const Op& op) {
    Uses uses;
    std::visit([&](const auto& kind) { std::visit(uses, kind); }, op);
    return uses.take();
}

}  // namespace traindyno
