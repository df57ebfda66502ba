// SPDX-License-Identifier: Apache-2.0
// The shape of an attention: what a device compiles it for.
#pragma once

#include <compare>
#include <cstdint>

#include "emulator/program/op.hpp"

namespace traindyno {

/// Where keys and values lie.
enum class KeyPlace : std::uint8_t {
    qkv,    ///< behind the queries of their token
    apart,  ///< in a matrix of their own, whose rows hold the key heads, then the value heads
};

/// Rows are tokens; a row of qkv holds the query heads, then the key heads, then the value heads.
struct AttentionShape {
    std::int64_t batch = 0;
    std::int64_t seq = 0;
    std::int64_t heads = 0;
    std::int64_t kv_heads = 0;
    std::int64_t head_size = 0;
    std::int64_t keys = 0;  ///< per sequence; 0: as many as queries
    AttentionMask mask = AttentionMask::causal;
    KeyPlace key_place = KeyPlace::qkv;

    friend auto operator<=>(const AttentionShape&, const AttentionShape&) = default;

    [[nodiscard]] std::int64_t qkv_width() const { return (heads + 2 * kv_heads) * head_size; }

    [[nodiscard]] std::int64_t context_width() const { return heads * head_size; }

    [[nodiscard]] std::int64_t key_count() const { return keys == 0 ? seq : keys; }

    /// Of the matrix that holds the keys, and of their gradient.
    [[nodiscard]] std::int64_t key_width() const {
        return key_place == KeyPlace::apart ? 2 * kv_heads * head_size : qkv_width();
    }

    /// Of the matrix that holds the gradient of the queries.
    [[nodiscard]] std::int64_t grad_query_width() const {
        return key_place == KeyPlace::apart ? context_width() : qkv_width();
    }
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
