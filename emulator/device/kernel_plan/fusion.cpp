// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/kernel_plan/fusion.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "emulator/device/kernel_plan/live_workspace.hpp"
#include "emulator/device/kernel_plan/slice_overlap.hpp"

namespace traindyno {

namespace {

constexpr std::array longest_first{Fold::bias_gelu,
                                   Fold::bias,
                                   Fold::gelu_backward_bias_gradient,
                                   Fold::gelu_backward,
                                   Fold::bias_gradient};

template <class T>
const T* compute_as(const BlockOp& op) {
    const auto* compute = std::get_if<ComputeOp>(&op.op);
    return compute == nullptr ? nullptr : std::get_if<T>(compute);
}

bool has_shape(const Elementwise& op, std::int64_t rows, std::int64_t columns) {
    return op.rows == rows && op.columns == columns;
}

class BlockPlanner {
  public:
    BlockPlanner(const Block& block, const IntervalSet& live_after, const FoldChoice& choice)
        : block_(block),
          live_after_(live_after),
          choice_(choice),
          plan_{.steps = {}, .step_of = {}} {
        plan_.step_of.resize(block.ops.size());
    }

    BlockPlan plan() {
        for (std::uint32_t op = 0; op < block_.ops.size(); ++op) {
            if (!plan_.step_of[op] && std::holds_alternative<ComputeOp>(block_.ops[op].op)) {
                append(step_at(op));
            }
            note_waits(op);
        }
        return std::move(plan_);
    }

  private:
    void append(KernelStep step) {
        const auto index = static_cast<std::uint32_t>(plan_.steps.size());
        for (const std::uint32_t op : step.ops) {
            plan_.step_of[op] = index;
        }
        plan_.steps.push_back(std::move(step));
    }

    /// What the compute lane has waited for once it has run `op`.
    void note_waits(std::uint32_t op) {
        if (block_.ops[op].lane == Lane::compute) {
            const std::vector<std::uint32_t>& after = block_.ops[op].after;
            awaited_.insert(awaited_.end(), after.begin(), after.end());
        }
    }

    KernelStep step_at(std::uint32_t op) {
        const auto* product = compute_as<MatMul>(block_.ops[op]);
        if (product == nullptr) {
            return {.ops = {op}, .fold = Fold::none, .output = {}, .bias = {}, .auxiliary = {}};
        }
        for (const Fold fold : longest_first) {
            std::optional<KernelStep> step = match(op, *product, fold);
            if (step && is_legal(*step, *product) &&
                choice_({.block = &block_,
                         .op = op,
                         .product = product,
                         .fold = fold,
                         .step = &*step})) {
                return *std::move(step);
            }
        }
        return {.ops = {op}, .fold = Fold::none, .output = product->c, .bias = {}, .auxiliary = {}};
    }

    /// The operations that `fold` would take over, found by their operands alone.
    [[nodiscard]] std::optional<KernelStep> match(std::uint32_t op,
                                                  const MatMul& product,
                                                  Fold fold) const {
        if (product.accumulate == Accumulate::yes && fold != Fold::bias_gradient) {
            return std::nullopt;
        }
        switch (fold) {
            case Fold::none:
                return std::nullopt;
            case Fold::bias:
                return with_bias(op, product);
            case Fold::bias_gelu:
                return with_gelu(op, product);
            case Fold::gelu_backward:
                return with_gelu_backward(op, product);
            case Fold::gelu_backward_bias_gradient:
                return with_gelu_backward_and_bias(op, product);
            case Fold::bias_gradient:
                return with_bias_gradient(op, product);
        }
        return std::nullopt;
    }

    [[nodiscard]] std::optional<KernelStep> with_bias(std::uint32_t op,
                                                      const MatMul& product) const {
        const auto added = find(op, ElementwiseKind::bias_add, [&](const Elementwise& e) {
            return e.reads.size() == 2 && e.reads[0] == product.c && e.writes[0] == product.c &&
                   e.reads[1].elements == product.n && has_shape(e, product.m, product.n);
        });
        if (!added) {
            return std::nullopt;
        }
        return KernelStep{.ops = {op, *added},
                          .fold = Fold::bias,
                          .output = product.c,
                          .bias = elementwise(*added).reads[1],
                          .auxiliary = {}};
    }

    [[nodiscard]] std::optional<KernelStep> with_gelu(std::uint32_t op,
                                                      const MatMul& product) const {
        std::optional<KernelStep> step = with_bias(op, product);
        if (!step) {
            return std::nullopt;
        }
        const auto gelu =
            find(step->ops.back(), ElementwiseKind::gelu_forward, [&](const Elementwise& e) {
                return e.reads[0] == product.c && has_shape(e, product.m, product.n);
            });
        if (!gelu) {
            return std::nullopt;
        }
        step->ops.push_back(*gelu);
        step->fold = Fold::bias_gelu;
        step->output = elementwise(*gelu).writes[0];
        step->auxiliary = product.c;
        return step;
    }

    [[nodiscard]] std::optional<KernelStep> with_gelu_backward(std::uint32_t op,
                                                               const MatMul& product) const {
        const auto gelu = find(op, ElementwiseKind::gelu_backward, [&](const Elementwise& e) {
            return e.reads[1] == product.c && has_shape(e, product.m, product.n);
        });
        if (!gelu) {
            return std::nullopt;
        }
        return KernelStep{.ops = {op, *gelu},
                          .fold = Fold::gelu_backward,
                          .output = elementwise(*gelu).writes[0],
                          .bias = {},
                          .auxiliary = elementwise(*gelu).reads[0]};
    }

    [[nodiscard]] std::optional<KernelStep> with_gelu_backward_and_bias(
        std::uint32_t op, const MatMul& product) const {
        std::optional<KernelStep> step = with_gelu_backward(op, product);
        if (!step) {
            return std::nullopt;
        }
        const auto summed =
            find(step->ops.back(), ElementwiseKind::bias_gradient, [&](const Elementwise& e) {
                return e.reads[0] == step->output && has_shape(e, product.m, product.n);
            });
        if (!summed) {
            return std::nullopt;
        }
        step->ops.push_back(*summed);
        step->fold = Fold::gelu_backward_bias_gradient;
        step->bias = elementwise(*summed).writes[0];
        return step;
    }

    [[nodiscard]] std::optional<KernelStep> with_bias_gradient(std::uint32_t op,
                                                               const MatMul& product) const {
        const auto summed = find(op, ElementwiseKind::bias_gradient, [&](const Elementwise& e) {
            return product.transpose_a == Transpose::yes && e.reads[0] == product.a &&
                   has_shape(e, product.k, product.m);
        });
        if (!summed) {
            return std::nullopt;
        }
        return KernelStep{.ops = {op, *summed},
                          .fold = Fold::bias_gradient,
                          .output = product.c,
                          .bias = elementwise(*summed).writes[0],
                          .auxiliary = {}};
    }

    /// The first operation after `op` of that kind that no step runs yet and `accepts` takes.
    template <class Accepts>
    [[nodiscard]] std::optional<std::uint32_t> find(std::uint32_t op,
                                                    ElementwiseKind kind,
                                                    Accepts accepts) const {
        for (std::uint32_t later = op + 1; later < block_.ops.size(); ++later) {
            const auto* e = compute_as<Elementwise>(block_.ops[later]);
            if (e != nullptr && e->kind == kind && !plan_.step_of[later] && accepts(*e)) {
                return later;
            }
        }
        return std::nullopt;
    }

    [[nodiscard]] const Elementwise& elementwise(std::uint32_t op) const {
        return *compute_as<Elementwise>(block_.ops[op]);
    }

    [[nodiscard]] bool is_legal(const KernelStep& step, const MatMul& product) const {
        const bool stores_product =
            step.fold != Fold::gelu_backward && step.fold != Fold::gelu_backward_bias_gradient;
        return is_disjoint(step, product) &&
               std::all_of(step.ops.begin() + 1,
                           step.ops.end(),
                           [&](std::uint32_t op) { return can_run_early(op, step); }) &&
               (stores_product || is_unread(product.c, step));
    }

    /// One kernel reads and writes in no particular order.
    static bool is_disjoint(const KernelStep& step, const MatMul& product) {
        const std::array<Slice, 5> used{
            step.output, step.bias, step.auxiliary, product.a, product.b};
        for (std::size_t i = 0; i < 3; ++i) {
            for (std::size_t j = i + 1; j < used.size(); ++j) {
                if (overlap(used.at(i), used.at(j))) {
                    return false;
                }
            }
        }
        return true;
    }

    /// Whether `op` may run when the first operation of `step` does.
    [[nodiscard]] bool can_run_early(std::uint32_t op, const KernelStep& step) const {
        const std::uint32_t first = step.ops.front();
        const BlockOp& moved = block_.ops[op];
        if (moved.phase != block_.ops[first].phase || moved.lane != block_.ops[first].lane) {
            return false;
        }
        const auto& after = moved.after;
        if (!std::all_of(after.begin(), after.end(), [&](std::uint32_t earlier) {
                return is_awaited(earlier, first);
            })) {
            return false;
        }
        for (std::uint32_t other = 0; other < op; ++other) {
            const bool in_step =
                std::find(step.ops.begin(), step.ops.end(), other) != step.ops.end();
            const bool done = other < first &&
                              (block_.ops[other].lane == Lane::compute || is_awaited(other, first));
            if (!in_step && !done && conflict(block_.ops[other].op, moved.op)) {
                return false;
            }
        }
        return true;
    }

    /// Whether the compute lane knows that `earlier` is complete when it reaches `op`.
    [[nodiscard]] bool is_awaited(std::uint32_t earlier, std::uint32_t op) const {
        const auto& own = block_.ops[op].after;
        return std::find(own.begin(), own.end(), earlier) != own.end() ||
               std::find(awaited_.begin(), awaited_.end(), earlier) != awaited_.end();
    }

    /// Whether nothing but `step` reads what its product leaves in `slice`.
    [[nodiscard]] bool is_unread(const Slice& slice, const KernelStep& step) const {
        if (slice.space != Space::workspace) {
            return false;
        }
        IntervalSet left;
        left.add(slice.offset, slice.offset + slice.elements);
        for (std::uint32_t op = step.ops.front() + 1; op < block_.ops.size(); ++op) {
            const bool in_step = std::find(step.ops.begin(), step.ops.end(), op) != step.ops.end();
            const std::vector<SliceUse> uses = slices_of(block_.ops[op].op);
            for (const SliceUse& use : uses) {
                if (!in_step && use.access == Access::read && touches(left, use.slice)) {
                    return false;
                }
            }
            for (const SliceUse& use : uses) {
                if (use.access == Access::write && use.slice.space == Space::workspace) {
                    left.remove(use.slice.offset, use.slice.offset + use.slice.elements);
                }
            }
        }
        return !left.overlaps(live_after_);
    }

    static bool touches(const IntervalSet& workspace, const Slice& slice) {
        return slice.space == Space::workspace &&
               workspace.overlaps(slice.offset, slice.offset + slice.elements);
    }

    const Block& block_;
    const IntervalSet& live_after_;
    const FoldChoice& choice_;
    BlockPlan plan_;
    std::vector<std::uint32_t> awaited_;  ///< by the compute lane, before the operation in hand
};

}  // namespace

BlockPlan plan_block(const Block& block, const IntervalSet& live_after, const FoldChoice& choice) {
    return BlockPlanner(block, live_after, choice).plan();
}

std::vector<BlockPlan> plan_blocks(const StepProgram& program, const FoldChoice& choice) {
    const std::vector<IntervalSet> live_after = live_workspace(program);
    std::vector<BlockPlan> plans;
    for (std::size_t block = 0; block < program.blocks.size(); ++block) {
        plans.push_back(plan_block(program.blocks[block], live_after[block], choice));
    }
    return plans;
}

}  // namespace traindyno
