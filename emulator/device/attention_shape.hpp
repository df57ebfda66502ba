// SPDX-License-Identifier: Apache-2.0
// The shape of an attention: what a device compiles it for.
#pragma once

#include <compare>
#include <cstdint>

namespace traindyno {

/// Rows are tokens; a row of qkv holds the query heads, then the key heads, then the value heads.
struct AttentionShape {
    std::int64_t batch = 0;
    std::int64_t seq = 0;
    std::int64_t heads = 0;
    std::int64_t kv_heads = 0;
    std::int64_t head_size = 0;

    friend auto operator<=>(const AttentionShape&, const AttentionShape&) = default;

    [[nodiscard]] std::int64_t qkv_width() const { return (heads + 2 * kv_heads) * head_size; }

    [[nodiscard]] std::int64_t context_width() const { return heads * head_size; }
};

/// Of an AttentionForward or AttentionBackward.
template <class AttentionOp>
[[nodiscard]] AttentionShape shape_of(const AttentionOp& op) {
    return {.batch = op.batch,
            .seq = op.seq,
            .heads = op.heads,
            .kv_heads = op.kv_heads,
            .head_size = op.head_size};
}

}  // namespace traindyno
