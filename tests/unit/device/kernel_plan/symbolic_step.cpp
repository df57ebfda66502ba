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

}  // namespace

SymbolicStep::SymbolicStep(const StepProgram& program) : program_(program) {
    for (const Task& task : program.tasks) {
        const std::vector<BlockOp>& ops = program.blocks[task.block.index()].ops;
        inputs_.emplace_back(ops.size());
        for (const BlockOp& op : ops) {
            for (const SliceUse& use : slices_of(op.op)) {
                const std::int64_t begin = task.base_of(use.slice.space) + use.slice.offset;
                auto& cuts = cuts_.at(static_cast<std::size_t>(use.slice.space));
                cuts.insert(cuts.end(), {begin, begin + use.slice.elements});
            }
        }
    }
    for (std::size_t space = 0; space < cuts_.size(); ++space) {
        auto& cuts = cuts_.at(space);
        std::sort(cuts.begin(), cuts.end());
        cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
        for (std::size_t piece = 0; piece < cuts.size(); ++piece) {
            symbols_.at(space).push_back(mix(space, piece));
        }
    }
}

std::span<std::uint64_t> SymbolicStep::pieces_of(const Slice& slice, const Task& task) {
    const auto space = static_cast<std::size_t>(slice.space);
    const auto& cuts = cuts_.at(space);
    const std::int64_t begin = task.base_of(slice.space) + slice.offset;
    const auto first = std::lower_bound(cuts.begin(), cuts.end(), begin);
    const auto last = std::lower_bound(first, cuts.end(), begin + slice.elements);
    return std::span(symbols_.at(space))
        .subspan(static_cast<std::size_t>(first - cuts.begin()),
                 static_cast<std::size_t>(last - first));
}

std::uint64_t SymbolicStep::content(const Slice& slice, const Task& task) {
    std::uint64_t symbols = 0;
    for (const std::uint64_t symbol : pieces_of(slice, task)) {
        symbols = mix(symbols, symbol);
    }
    return symbols;
}

void SymbolicStep::run(std::size_t task, std::uint32_t op) {
    const Task& at = program_.tasks[task];
    const std::vector<SliceUse> uses = slices_of(program_.blocks[at.block.index()].ops[op].op);
    std::uint64_t inputs = mix(static_cast<std::uint64_t>(at.block.value()), op);
    for (const SliceUse& use : uses) {
        if (use.access == Access::read) {
            inputs = mix(inputs, content(use.slice, at));
        }
    }
    std::uint64_t outputs = mix(inputs, 1);
    for (const SliceUse& use : uses) {
        if (use.access == Access::write) {
            for (std::uint64_t& symbol : pieces_of(use.slice, at)) {
                symbol = outputs = mix(outputs, 2);
            }
        }
    }
    inputs_[task][op] = inputs;
}

void SymbolicStep::spoil(const Slice& slice, std::size_t task) {
    for (std::uint64_t& symbol : pieces_of(slice, program_.tasks[task])) {
        symbol = unusable;
    }
}

namespace {

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
