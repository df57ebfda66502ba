// SPDX-License-Identifier: Apache-2.0
// The shape of an attention: what a device compiles it for.
#pragma once

#include <compare>
#include <cstdint>

#include "emulator/program/op.hpp"

namespace traindyno {

/// Rows are tokens; a row of qkv holds the query heads, then the key heads, then the value heads.
/// Keys and values may lie apart, in rows of the key heads and then the value heads.
struct AttentionShape {
    std::int64_t batch = 0;
    std::int64_t seq = 0;
    std::int64_t heads = 0;
    std::int64_t kv_heads = 0;
    std::int64_t head_size = 0;
    std::int64_t keys = 0;  ///< per sequence where they lie apart, else 0
    AttentionMask mask = AttentionMask::causal;

    friend auto operator<=>(const AttentionShape&, const AttentionShape&) = default;

    [[nodiscard]] std::int64_t qkv_width() const { return (heads + 2 * kv_heads) * head_size; }

    [[nodiscard]] std::int64_t context_width() const { return heads * head_size; }

    [[nodiscard]] bool keys_apart() const { return keys > 0; }

    [[nodiscard]] std::int64_t key_rows() const { return keys_apart() ? keys : seq; }

    /// Of a row that holds keys and values, and of its gradient.
    [[nodiscard]] std::int64_t kv_width() const {
        return keys_apart() ? 2 * kv_heads * head_size : qkv_width();
    }

    /// Of a row of the gradient that holds the queries' part.
    [[nodiscard]] std::int64_t grad_query_width() const {
        return keys_apart() ? context_width() : qkv_width();
    }
};

/// Of an AttentionForward or AttentionBackward.
template <class AttentionOp>
[[nodiscard]] AttentionShape shape_of(const AttentionOp& op) {
    return {.batch = op.batch,
            .seq = op.seq,
            .heads = op.heads,
            .kv_heads = op.kv_heads,
            .head_size = op.head_size,
            .keys = op.keys,
            .mask = op.mask};
}

}  // namespace traindyno
