// SPDX-License-Identifier: Apache-2.0
// What a layer with experts has in place of an MLP: router, dispatch, experts, combine.
#pragma once

#include <cstdint>
#include <vector>

#include "emulator/program/arena.hpp"
#include "emulator/program/block_writer.hpp"

namespace traindyno {

/// Writes y = sum of the weighted outputs of the experts that a token visits, and of the shared
/// ones, into a block. t tokens go to s slots, and r rows arrive at this rank's experts. Without
/// expert parallelism s = r and nothing travels. Shared experts run while tokens travel; experts
/// are cut by tensor parallelism as an MLP is, and every tensor rank sends whole tokens.
class ExpertMlp {
  public:
    /// Takes what forward leaves for backward from `kept`.
    ExpertMlp(const StageContext& stage, BlockWriter& block, Arena& kept, Arena& scratch);

    /// x and y are [t, h].
    void forward(const Slice& x, const Slice& y);
    void backward(const Slice& x, const Slice& dy, const Slice& dx);

  private:
    /// To the experts of other ranks, or back.
    enum class Way : std::uint8_t { dispatch, combine };
    /// Of rows that arrived: as all-to-all delivers them, and as products take them.
    enum class Order : std::uint8_t { by_sender, by_expert };

    /// [t, h] computed beside the routed experts, and what a reader waits for.
    struct Beside {
        Slice result;
        After ready;
    };

    // Each returns what a reader of its last argument waits for.
    After exchange(Way way, const Slice& in, const Slice& out, const After& after);
    After sort(Order to, const Slice& from, const Slice& sorted, const After& after);
    After experts_forward(const Slice& processed, const After& arrived);
    After experts_backward(const Slice& dprocessed, const Slice& ddispatched, const After& arrived);
    void up_weight_gradients();
    [[nodiscard]] Beside shared_forward(const Slice& x);
    [[nodiscard]] Beside shared_backward(const Slice& x, const Slice& dy);
    [[nodiscard]] Slice router_backward(const Slice& x, const Slice& dweights);
    void activate(std::int64_t rows, std::int64_t columns, const Slice& up, const Slice& activated);
    void activate_backward(std::int64_t rows,
                           std::int64_t columns,
                           const std::vector<Slice>& reads,
                           const Slice& dup);

    [[nodiscard]] Linear router() const;
    [[nodiscard]] BiasedLinear shared_up() const;
    [[nodiscard]] BiasedLinear shared_down() const;
    [[nodiscard]] Linear expert_up(std::int64_t local) const;
    [[nodiscard]] Linear expert_down(std::int64_t local) const;

    /// Whether rows arrive in another order than products take them.
    [[nodiscard]] bool sorts() const;
    /// Rows from one sender to one expert each, in the order `to`.
    [[nodiscard]] std::vector<Slice> pieces(Order to, const Slice& from) const;
    /// Of this rank's experts before `local`, from one sender.
    [[nodiscard]] std::int64_t rows_before(std::int64_t local) const;
    [[nodiscard]] std::int64_t rows_of(std::int64_t local) const;
    /// An expert's part of a buffer of r rows by expert.
    [[nodiscard]] Slice rows(const Slice& all, std::int64_t local) const;

    /// Calls `visit(local)` for the experts that get any tokens.
    template <class Visit>
    void for_experts(Visit&& visit) {
        for (std::int64_t local = 0; local < shape_.local_experts; ++local) {
            if (rows_of(local) > 0) {
                visit(local);
            }
        }
    }

    const StageContext& stage_;
    const LocalShape& shape_;
    const LayerParameters& weights_;
    BlockWriter& block_;
    Arena& scratch_;
    std::int64_t slots_;     ///< s
    std::int64_t received_;  ///< r
    Slice logits_;           ///< [t, experts]
    Slice routing_weights_;  ///< [t, top_k]
    Slice dispatched_;       ///< [r, h], by expert
    Slice up_;               ///< [r, expert_up_width]
    Slice activated_;        ///< [r, expert_ffn]
    Slice combined_;         ///< [s, h], outputs back at their tokens
    Slice shared_up_;        ///< [t, shared_up_width]
    Slice shared_activated_;
    Slice dup_;  ///< [r, expert_up_width], gradient of up_
};

}  // namespace traindyno
