// SPDX-License-Identifier: Apache-2.0
// Attention by blocks: scores exist for one pair of a query block and a key block at a time.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "emulator/device/cpu/attention_products.hpp"
#include "emulator/device/cpu/kernels.hpp"
#include "emulator/device/cpu/team.hpp"

namespace traindyno {

struct AttentionOperands {
    Operand qkv;
    Operand context;
    Operand statistics;      ///< [batch, heads, seq] in fp32
    Operand grad_context{};  ///< backward only
    Operand grad_qkv{};      ///< backward only
    // Where keys and values lie apart.
    Operand keys_values{};
    Operand grad_keys_values{};  ///< backward only
};

/// Attention of one shape and precision on one team. Forward: Milakov and Gimelshein's online
/// softmax (arXiv:1805.02867); backward from the log-sum-exp as in FlashAttention-2
/// (arXiv:2307.08691, algorithm 2).
class Attention {
  public:
    Attention(const AttentionShape& shape, DType precision, const Team& team);
    Attention(const Attention&) = delete;
    Attention& operator=(const Attention&) = delete;
    Attention(Attention&&) = delete;
    Attention& operator=(Attention&&) = delete;
    ~Attention();

    void forward(const AttentionOperands& operands);
    void backward(const AttentionOperands& operands);

  private:
    struct Thread;
    template <class T>
    struct HeadView;

    template <class T>
    void forward_block(const AttentionOperands& operands, std::int64_t item, Thread& thread) const;
    template <class T>
    void backward_block(const HeadView<T>& at, std::int64_t query, Thread& thread) const;
    template <class T>
    void backward_group(const AttentionOperands& operands, std::int64_t item, Thread& thread) const;

    AttentionShape shape_;
    DType precision_;
    const Team& team_;
    std::vector<std::unique_ptr<Thread>> threads_;
};

}  // namespace traindyno
