// SPDX-License-Identifier: Apache-2.0
// Causal attention by blocks: scores exist for one pair of a query block and a key block at a time.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "emulator/device/cpu/gemm.hpp"
#include "emulator/device/cpu/kernels.hpp"
#include "emulator/device/cpu/team.hpp"

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

struct AttentionOperands {
    Operand qkv;
    Operand context;
    Operand statistics;      ///< [batch, heads, seq]
    Operand grad_context{};  ///< backward only
    Operand grad_qkv{};      ///< backward only
};

/// Attention of one shape and precision on one team. Forward: Milakov and Gimelshein's online
/// softmax (arXiv:1805.02867); backward from the log-sum-exp as in FlashAttention-2
/// (arXiv:2307.08691, algorithm 2).
class Attention {
  public:
    Attention(const AttentionShape& shape, DType precision, const Team& team);
    Attention(const Attention&) = delete;
    Attention& operator=(const Attention&) = delete;
    ~Attention();

    void forward(const AttentionOperands& operands);
    void backward(const AttentionOperands& operands);

  private:
    struct Thread;

    template <class T>
    void forward_block(const AttentionOperands& operands, std::int64_t item, Thread& thread);
    template <class T>
    void backward_head(const AttentionOperands& operands, std::int64_t item, Thread& thread);

    AttentionShape shape_;
    DType precision_;
    const Team& team_;
    std::vector<std::unique_ptr<Thread>> threads_;
};

}  // namespace traindyno
