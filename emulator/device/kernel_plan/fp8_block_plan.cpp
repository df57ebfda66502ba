// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/kernel_plan/fp8_block_plan.hpp"

#include <algorithm>
#include <utility>

#include "emulator/device/kernel_plan/linear_role.hpp"
#include "emulator/device/kernel_plan/slice_overlap.hpp"

namespace traindyno {

namespace {

enum class Form : std::uint8_t { plain, transposed };

/// Gives out scratch for spans of operations: first fit.
class ScratchPlanner {
  public:
    /// Bytes that are in use from operation `first` to operation `last`. In order of `first`.
    Fp8Buffer take(std::uint32_t first, std::uint32_t last, std::int64_t bytes) {
        std::erase_if(used_, [&](const Used& used) { return used.last < first; });
        const std::int64_t size = (bytes + fp8_alignment - 1) / fp8_alignment * fp8_alignment;
        std::int64_t offset = 0;
        auto at = used_.begin();
        while (at != used_.end() && at->offset < offset + size) {
            offset = at->offset + at->size;
            ++at;
        }
        used_.insert(at, {.offset = offset, .size = size, .last = last});
        end_ = std::max(end_, offset + size);
        return {.home = Fp8Home::scratch, .offset = offset, .bytes = bytes};
    }

    [[nodiscard]] std::int64_t end() const { return end_; }

  private:
    struct Used {
        std::int64_t offset = 0;
        std::int64_t size = 0;
        std::uint32_t last = 0;
    };

    std::vector<Used> used_;  ///< by offset
    std::int64_t end_ = 0;
};

class Fp8BlockPlanner {
  public:
    Fp8BlockPlanner(const Block& block, const Fp8Layer& layer) : block_(block), layer_(layer) {}

    Fp8BlockPlan plan() {
        for (std::uint32_t op = 0; op < block_.ops.size(); ++op) {
            const Known known = known_at(op);
            if (known.linear != nullptr) {
                add(op, known);
            }
        }
        plan_.scratch_bytes = scratch_.end();
        return std::move(plan_);
    }

  private:
    struct Known {
        const MatMul* product = nullptr;
        LinearRole role;
        const Fp8Linear* linear = nullptr;  ///< null: not a product of a linear layer in fp8
    };

    [[nodiscard]] Known known_at(std::uint32_t op) const {
        const auto* compute = std::get_if<ComputeOp>(&block_.ops[op].op);
        const auto* product = compute == nullptr ? nullptr : std::get_if<MatMul>(compute);
        const auto role = product == nullptr ? std::nullopt : linear_role(*product);
        const auto found = role ? layer_.linears.find(role->weight) : layer_.linears.end();
        if (found == layer_.linears.end()) {
            return {};
        }
        return {.product = product, .role = *role, .linear = &found->second};
    }

    void add(std::uint32_t op, const Known& known) {
        const Fp8Tensor weight = tensor(known, Fp8Role::weight);
        switch (known.role.pass) {
            case LinearPass::forward: {
                const Fp8Operand x = cast(op, known, Fp8Role::activation);
                cast_weight(op, known);
                plan_.products.push_back(
                    {.op = op, .a = x, .b = {.tensor = weight, .buffer = known.linear->weight}});
                return;
            }
            case LinearPass::input_gradient: {
                const Fp8Operand dy = cast(op, known, Fp8Role::gradient);
                plan_.products.push_back(
                    {.op = op,
                     .a = dy,
                     .b = {.tensor = weight, .buffer = known.linear->weight_transposed}});
                return;
            }
            case LinearPass::weight_gradient: {
                const Fp8Operand dy = transposed(op, known, known.product->a, Fp8Role::gradient);
                const Fp8Operand x = transposed(op, known, known.product->b, Fp8Role::activation);
                plan_.products.push_back({.op = op, .a = dy, .b = x});
                return;
            }
        }
    }

    static Fp8Tensor tensor(const Known& known, Fp8Role role) {
        return {.linear = known.linear->index, .role = role};
    }

    /// In the first forward pass of the step; nothing changes a weight before the optimizer.
    void cast_weight(std::uint32_t op, const Known& known) {
        if (block_.ops[op].phase == Phase::forward) {
            plan_.casts.push_back({.before = op,
                                   .tensor = tensor(known, Fp8Role::weight),
                                   .source = known.product->b,
                                   .rows = known.role.out,
                                   .columns = known.role.in,
                                   .plain = known.linear->weight,
                                   .transposed = known.linear->weight_transposed,
                                   .time = CastTime::first_micro_batch,
                                   .amax = Amax::recorded});
        }
    }

    /// Left operand of `op`, [tokens, columns], plain; with its transpose where one is used later.
    Fp8Operand cast(std::uint32_t op, const Known& known, Fp8Role role) {
        const Slice& source = known.product->a;
        Fp8CastStep step = cast_of(op, known, source, role);
        step.plain = scratch_.take(op, op, source.elements);
        const auto user = weight_gradient_of(op, known, source, role);
        if (role == Fp8Role::activation && source.space == Space::saved) {
            step.transposed = known.linear->kept;
        } else if (user) {
            step.transposed = scratch_.take(op, *user, source.elements);
        }
        const Fp8Operand operand{.tensor = step.tensor, .buffer = *step.plain};
        plan_.casts.push_back(step);
        return operand;
    }

    /// Operand of the weight gradient `op`, transposed: [columns, tokens].
    Fp8Operand transposed(std::uint32_t op, const Known& known, const Slice& source, Fp8Role role) {
        const Fp8Tensor which = tensor(known, role);
        const auto earlier =
            std::find_if(plan_.casts.begin(), plan_.casts.end(), [&](const Fp8CastStep& cast) {
                return cast.tensor == which && cast.source == source && cast.transposed &&
                       is_unchanged(source, cast.before, op);
            });
        if (earlier != plan_.casts.end()) {
            return {.tensor = which, .buffer = *earlier->transposed};
        }
        if (role == Fp8Role::activation && source.space == Space::saved) {
            return {.tensor = which, .buffer = known.linear->kept};
        }
        Fp8CastStep step = cast_of(op, known, source, role);
        step.transposed = scratch_.take(op, op, source.elements);
        const Fp8Operand operand{.tensor = which, .buffer = *step.transposed};
        plan_.casts.push_back(step);
        return operand;
    }

    [[nodiscard]] Fp8CastStep cast_of(std::uint32_t op,
                                      const Known& known,
                                      const Slice& source,
                                      Fp8Role role) const {
        const bool again = role == Fp8Role::activation && block_.ops[op].phase != Phase::forward;
        return {.before = op,
                .tensor = tensor(known, role),
                .source = source,
                .rows = known.role.tokens,
                .columns = role == Fp8Role::gradient ? known.role.out : known.role.in,
                .plain = {},
                .transposed = {},
                .time = CastTime::every_task,
                .amax = again ? Amax::skipped : Amax::recorded};
    }

    /// The later weight gradient of the same linear layer that reads `source` as it is at `op`.
    [[nodiscard]] std::optional<std::uint32_t> weight_gradient_of(std::uint32_t op,
                                                                  const Known& known,
                                                                  const Slice& source,
                                                                  Fp8Role role) const {
        for (std::uint32_t later = op + 1; later < block_.ops.size(); ++later) {
            const Known user = known_at(later);
            if (user.linear == known.linear && user.role.pass == LinearPass::weight_gradient) {
                const Slice& read = role == Fp8Role::gradient ? user.product->a : user.product->b;
                return read == source && is_unchanged(source, op, later) ? std::optional(later)
                                                                         : std::nullopt;
            }
        }
        return std::nullopt;
    }

    /// Whether no operation from `first` up to `last` writes to `slice`.
    [[nodiscard]] bool is_unchanged(const Slice& slice,
                                    std::uint32_t first,
                                    std::uint32_t last) const {
        for (std::uint32_t op = first; op < last; ++op) {
            for (const SliceUse& use : slices_of(block_.ops[op].op)) {
                if (use.access == Access::write && overlap(use.slice, slice)) {
                    return false;
                }
            }
        }
        return true;
    }

    const Block& block_;
    const Fp8Layer& layer_;
    ScratchPlanner scratch_;
    Fp8BlockPlan plan_;
};

}  // namespace

Fp8BlockPlan plan_fp8_block(const Block& block, const Fp8Layer& layer) {
    return is_layer(block) ? Fp8BlockPlanner(block, layer).plan() : Fp8BlockPlan{};
}

}  // namespace traindyno
