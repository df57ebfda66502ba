// SPDX-License-Identifier: Apache-2.0
// What a layer with experts has in place of an MLP: router, dispatch, experts, combine.
#pragma once

#include <cstdint>
#include <vector>

#include "emulator/program/arena.hpp"
#include "emulator/program/block_writer.hpp"
#include "emulator/program/expert_exchange.hpp"

namespace traindyno {

/// Writes y = sum of the weighted outputs of the experts that a token visits, and of the shared
/// ones, into a block. t tokens go to s slots, and r rows come to this rank's experts. Without
/// expert or sequence parallelism s = r and nothing travels. Shared experts run while tokens
/// travel; experts are cut by tensor parallelism as an MLP is. With sequence parallelism every
/// tensor rank routes and sends its own tokens, and what arrives on all of them is gathered before
/// the experts and scattered after them; else each sends all tokens.
class ExpertMlp {
  public:
    /// Takes what forward leaves for backward from `kept`.
    ExpertMlp(const StageContext& stage, BlockWriter& block, Arena& kept, Arena& scratch);

    /// x and y are [t, h]. What is gathered or summed of them is that of the shared experts.
    void forward(const TokenRows& x, const TokenRows& y);
    void backward(const TokenRows& x, const TokenRows& dy, const TokenRows& dx);
    /// What `backward` leaves out where weight gradients are deferred.
    void weight_gradients(const TokenRows& x, const TokenRows& dy);

  private:
    using Way = ExpertExchange::Way;
    using Order = ExpertExchange::Order;

    /// [t, h] computed beside the routed experts, and what a reader waits for.
    struct Beside {
        Slice result;
        After ready;
    };

    // Each returns what a reader of its last argument waits for.
    After experts_forward(const Slice& processed, const After& arrived);
    After experts_backward(const Slice& dprocessed, const Slice& ddispatched, const After& arrived);
    void down_weight_gradients(const Slice& dprocessed);
    void up_weight_gradients();
    /// `y` and `dx` lend the place where the product is summed.
    [[nodiscard]] Beside shared_forward(const TokenRows& x, const TokenRows& y);
    [[nodiscard]] Beside shared_backward(const TokenRows& x,
                                         const TokenRows& dy,
                                         const TokenRows& dx);
    /// [t, h] of this rank's tokens beside `routed`.
    [[nodiscard]] TokenRows take_beside(const TokenRows& routed);
    /// `kept` where it has a place, else scratch.
    [[nodiscard]] Slice kept_or(const Slice& kept, std::int64_t elements);
    /// Adds what the shared experts made to `routed`, if there are any.
    void add_shared(const Slice& routed, const Beside& shared, const Slice& sum);
    [[nodiscard]] Slice router_backward(const Slice& x, const Slice& dweights);

    [[nodiscard]] Linear router() const;
    [[nodiscard]] BiasedLinear shared_up() const;
    [[nodiscard]] BiasedLinear shared_down() const;
    [[nodiscard]] Linear expert_up(std::int64_t local) const;
    [[nodiscard]] Linear expert_down(std::int64_t local) const;

    /// Calls `visit(local)` for the experts that get any tokens.
    template <class Visit>
    void for_experts(Visit&& visit) {
        for (std::int64_t local = 0; local < shape_.local_experts; ++local) {
            if (exchange_.rows_of(local) > 0) {
                visit(local);
            }
        }
    }

    const StageContext& stage_;
    const LocalShape& shape_;
    const LayerParameters& weights_;
    BlockWriter& block_;
    Arena& scratch_;
    std::int64_t tokens_;  ///< t
    bool deferred_;        ///< weight gradients run in a block of their own
    std::int64_t slots_;   ///< s
    ExpertExchange exchange_;
    std::int64_t received_;  ///< r
    Slice logits_;           ///< [t, experts]
    Slice routing_weights_;  ///< [t, top_k]
    Slice dispatched_;       ///< [r, h], by expert
    Slice up_;               ///< [r, expert_up_width]
    Slice activated_;        ///< [r, expert_ffn]
    Slice combined_;         ///< [s, h], outputs back at their tokens
    Slice shared_up_;        ///< [t, shared_up_width]
    Slice shared_activated_;
    // Gradients, kept where those of weights are deferred.
    Slice dprocessed_;  ///< [r, h], of the experts' outputs
    Slice dup_;         ///< [r, expert_up_width]
    Slice dlogits_;     ///< [t, experts]
    Slice shared_dup_;  ///< [t, shared_up_width]
};

}  // namespace traindyno
