// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/device/kernel_plan/symbolic_step.hpp"

#include <algorithm>
#include <array>

#include "emulator/program/slice_use.hpp"

namespace traindyno {

namespace {

/// splitmix64's finaliser over both (Steele et al., OOPSLA 2014).
std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
    std::uint64_t z = a * 0x9e3779b97f4a7c15U + b;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

constexpr std::uint64_t unusable = 0xdead;

/// Memory cut wherever a slice begins or ends; one symbol for each piece.
class SymbolicStep {
  public:
    explicit SymbolicStep(const StepProgram& program) : program_(program) {
        for_each_slice([&](const Slice& slice, const Task& task) {
            auto& cuts = cuts_of(slice.space);
            const std::int64_t begin = task.base_of(slice.space) + slice.offset;
            cuts.insert(cuts.end(), {begin, begin + slice.elements});
        });
        for (std::size_t space = 0; space < cuts_.size(); ++space) {
            auto& cuts = cuts_.at(space);
            std::sort(cuts.begin(), cuts.end());
            cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
            for (std::size_t piece = 0; piece < cuts.size(); ++piece) {
                symbols_.at(space).push_back(mix(space, piece));
            }
        }
        for (const Task& task : program.tasks) {
            inputs_.emplace_back(program.blocks[task.block.index()].ops.size());
        }
    }

    void run(std::size_t task, std::uint32_t op) {
        const Task& at = program_.tasks[task];
        const std::vector<SliceUse> uses = slices_of(program_.blocks[at.block.index()].ops[op].op);
        std::uint64_t inputs = mix(static_cast<std::uint64_t>(at.block.value()), op);
        for (const SliceUse& use : uses) {
            if (use.access == Access::read) {
                for_each_piece(
                    use.slice, at, [&](std::uint64_t& symbol) { inputs = mix(inputs, symbol); });
            }
        }
        std::uint64_t outputs = mix(inputs, 1);
        for (const SliceUse& use : uses) {
            if (use.access == Access::write) {
                for_each_piece(use.slice, at, [&](std::uint64_t& symbol) {
                    symbol = outputs = mix(outputs, 2);
                });
            }
        }
        inputs_[task][op] = inputs;
    }

    void spoil(const Slice& slice, std::size_t task) {
        for_each_piece(
            slice, program_.tasks[task], [](std::uint64_t& symbol) { symbol = unusable; });
    }

    [[nodiscard]] OperationInputs take() { return std::move(inputs_); }

  private:
    [[nodiscard]] std::vector<std::int64_t>& cuts_of(Space space) {
        return cuts_.at(static_cast<std::size_t>(space));
    }

    template <class Visit>
    void for_each_slice(Visit visit) const {
        for (const Task& task : program_.tasks) {
            for (const BlockOp& op : program_.blocks[task.block.index()].ops) {
                for (const SliceUse& use : slices_of(op.op)) {
                    visit(use.slice, task);
                }
            }
        }
    }

    template <class Visit>
    void for_each_piece(const Slice& slice, const Task& task, Visit visit) {
        const std::int64_t begin = task.base_of(slice.space) + slice.offset;
        const auto& cuts = cuts_of(slice.space);
        auto& symbols = symbols_.at(static_cast<std::size_t>(slice.space));
        for (auto cut = std::lower_bound(cuts.begin(), cuts.end(), begin);
             cut != cuts.end() && *cut < begin + slice.elements;
             ++cut) {
            visit(symbols[static_cast<std::size_t>(cut - cuts.begin())]);
        }
    }

    const StepProgram& program_;
    std::array<std::vector<std::int64_t>, enum_count<Space>> cuts_;
    std::array<std::vector<std::uint64_t>, enum_count<Space>> symbols_;
    OperationInputs inputs_;
};

bool stores_product(const KernelStep& step) {
    return step.fold != Fold::gelu_backward && step.fold != Fold::gelu_backward_bias_gradient;
}

/// Operations of a block in the order in which `plan` runs them.
std::vector<std::uint32_t> order_of(const BlockPlan& plan) {
    std::vector<std::uint32_t> order;
    for (std::uint32_t op = 0; op < plan.step_of.size(); ++op) {
        if (!plan.step_of[op]) {
            order.push_back(op);
            continue;
        }
        const KernelStep& step = plan.steps[*plan.step_of[op]];
        if (step.ops.front() == op) {
            order.insert(order.end(), step.ops.begin(), step.ops.end());
        }
    }
    return order;
}

}  // namespace

OperationInputs run_symbolically(const StepProgram& program) {
    SymbolicStep step(program);
    for (std::size_t task = 0; task < program.tasks.size(); ++task) {
        const Block& block = program.blocks[program.tasks[task].block.index()];
        for (std::uint32_t op = 0; op < block.ops.size(); ++op) {
            step.run(task, op);
        }
    }
    return step.take();
}

OperationInputs run_symbolically(const StepProgram& program, const std::vector<BlockPlan>& plans) {
    SymbolicStep symbolic(program);
    for (std::size_t task = 0; task < program.tasks.size(); ++task) {
        const std::size_t block = program.tasks[task].block.index();
        const BlockPlan& plan = plans[block];
        for (const std::uint32_t op : order_of(plan)) {
            symbolic.run(task, op);
            if (!plan.step_of[op]) {
                continue;
            }
            const KernelStep& step = plan.steps[*plan.step_of[op]];
            if (op == step.ops.back() && !stores_product(step)) {
                const auto& compute =
                    std::get<ComputeOp>(program.blocks[block].ops[step.ops.front()].op);
                symbolic.spoil(std::get<MatMul>(compute).c, task);
            }
        }
    }
    return symbolic.take();
}

StepProgram reordered(StepProgram program, const std::vector<BlockPlan>& plans) {
    for (std::size_t index = 0; index < plans.size(); ++index) {
        Block& block = program.blocks[index];
        const std::vector<std::uint32_t> order = order_of(plans[index]);
        std::vector<BlockOp> ops;
        for (const std::uint32_t op : order) {
            ops.push_back(block.ops[op]);
            for (std::uint32_t& after : ops.back().after) {
                after = static_cast<std::uint32_t>(std::find(order.begin(), order.end(), after) -
                                                   order.begin());
            }
        }
        block.ops = std::move(ops);
    }
    return program;
}

}  // namespace traindyno
