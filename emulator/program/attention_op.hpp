// SPDX-License-Identifier: Apache-2.0
// Core attention of a rank's tokens, forward or backward.
#pragma once

#include "emulator/program/local_shape.hpp"
#include "emulator/program/op.hpp"

namespace traindyno {

/// What attention reads and writes in forward, for the rank's own queries.
struct AttentionEnds {
    Slice qkv;         ///< [t, qkv_width]
    Slice context;     ///< [t, attention_width]
    Slice statistics;  ///< [batch, heads, seq] in fp32
};

/// AttentionForward, or AttentionBackward that yet lacks its gradients.
template <class AttentionOp>
[[nodiscard]] AttentionOp attention_op(const LocalShape& shape, const AttentionEnds& ends) {
    AttentionOp op;
    op.batch = shape.batch;
    op.seq = shape.seq;
    op.heads = shape.heads;
    op.kv_heads = shape.kv_heads;
    op.head_size = shape.head_size;
    op.qkv = ends.qkv;
    op.context = ends.context;
    op.statistics = ends.statistics;
    return op;
}

}  // namespace traindyno
