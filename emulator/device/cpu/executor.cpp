// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/cpu/executor.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "emulator/base/error.hpp"
#include "emulator/base/overloaded.hpp"
#include "emulator/device/elementwise_check.hpp"
#include "emulator/device/random_values.hpp"

namespace traindyno {

CpuExecutor::CpuExecutor(const StepProgram& program,
                         const Team& team,
                         std::uint32_t seed,
                         const HostMemory& shared)
    : team_(team),
      storage_(storage_type(program.precision)),
      gradient_(program.gradient_type),
      seed_(seed),
      memory_(program, Paging::huge, shared) {
    for (const Block& block : program.blocks) {
        for (const BlockOp& op : block.ops) {
            if (const auto* compute = std::get_if<ComputeOp>(&op.op)) {
                compile(*compute);
            }
        }
    }
    fill(program);
}

void CpuExecutor::compile(const ComputeOp& op) {
    const auto attention = [&](const auto& a) {
        auto& slot = attentions_[shape_of(a)];
        if (!slot) {
            slot = std::make_unique<Attention>(shape_of(a), storage_, team_);
        }
    };
    std::visit(Overloaded{[&](const MatMul& product) {
                              const GemmShape shape = shape_of(product, storage_, gradient_);
                              if (!products_.contains(shape)) {
                                  products_.emplace(shape, Gemm{shape});
                              }
                          },
                          [&](const AttentionForward& a) { attention(a); },
                          [&](const AttentionBackward& a) { attention(a); },
                          [&](const Elementwise& e) {
                              for (const std::string& problem : problems_of(e)) {
                                  throw ContractError(
                                      fmt::format("{}: {}", to_string(e.kind), problem),
                                      Where::here());
                              }
                              const auto wanted =
                                  static_cast<std::size_t>(scratch_elements(e, team_.threads()));
                              scratch_.resize(std::max(scratch_.size(), wanted));
                              reads_.reserve(std::max(reads_.capacity(), e.reads.size()));
                              writes_.reserve(std::max(writes_.capacity(), e.writes.size()));
                          },
                          [](const OptimizerStep&) {}},
               op);
}

void CpuExecutor::fill(const StepProgram& program) {
    const auto whole = [&](Space space) {
        const std::span<std::byte> bytes = memory_.all(space);
        const DType type = memory_.dtype(space);
        return Operand{.data = bytes.data(),
                       .elements = static_cast<std::int64_t>(bytes.size()) / element_size(type),
                       .dtype = type};
    };
    fill_random(team_, whole(Space::parameter), weight_deviation, seed_);
    fill_random(team_, whole(Space::master), weight_deviation, seed_);  // equal, but for rounding
    for_each_sharded_update(program, [&](const OptimizerStep& op, const Task& task) {
        const Slice weight = slice_of(op, Space::parameter);
        fill_random(team_,
                    resolve(slice_of(op, Space::master), task),
                    weight_deviation,
                    seed_,
                    task.base_of(Space::parameter) + weight.offset);
    });
    fill_random(team_, whole(Space::saved), activation_deviation, seed_ + 1);
    fill_random(team_, whole(Space::workspace), activation_deviation, seed_ + 2);
    for (const Space zero : {Space::gradient, Space::scalar, Space::adam_m, Space::adam_v}) {
        fill_zero(team_, whole(zero));
    }
}

Operand CpuExecutor::resolve(const Slice& slice, const Task& task) const {
    return {.data = memory_.at(slice, task).data(),
            .elements = slice.elements,
            .dtype = memory_.dtype(slice.space)};
}

// clang-tidy 14 does not see that the generic lambda uses `this`.
// NOLINTNEXTLINE(readability-convert-member-functions-to-static)
void CpuExecutor::run(const ComputeOp& op, const Task& task) {
    std::visit([&](const auto& alternative) { run_op(alternative, task); }, op);
}

void CpuExecutor::run_op(const MatMul& op, const Task& task) {
    products_.at(shape_of(op, storage_, gradient_))
        .run(resolve(op.a, task).data, resolve(op.b, task).data, resolve(op.c, task).data);
}

void CpuExecutor::run_op(const AttentionForward& op, const Task& task) {
    const bool apart = op.keys > 0;
    attentions_.at(shape_of(op))
        ->forward({.qkv = resolve(op.qkv, task),
                   .context = resolve(op.context, task),
                   .statistics = resolve(op.statistics, task),
                   .keys_values = apart ? resolve(op.keys_values, task) : Operand{}});
}

void CpuExecutor::run_op(const AttentionBackward& op, const Task& task) {
    const bool apart = op.keys > 0;
    attentions_.at(shape_of(op))
        ->backward({.qkv = resolve(op.qkv, task),
                    .context = resolve(op.context, task),
                    .statistics = resolve(op.statistics, task),
                    .grad_context = resolve(op.grad_context, task),
                    .grad_qkv = resolve(op.grad_qkv, task),
                    .keys_values = apart ? resolve(op.keys_values, task) : Operand{},
                    .grad_keys_values = apart ? resolve(op.grad_keys_values, task) : Operand{}});
}

void CpuExecutor::run_op(const Elementwise& op, const Task& task) {
    reads_.clear();
    writes_.clear();
    for (const Slice& slice : op.reads) {
        reads_.push_back(resolve(slice, task));
    }
    for (const Slice& slice : op.writes) {
        writes_.push_back(resolve(slice, task));
    }
    const auto micro_batch = static_cast<std::uint32_t>(task.micro_batch.value());
    run_elementwise(op,
                    reads_,
                    writes_,
                    {.team = &team_, .scratch = scratch_, .seed = seed_ + 3 + micro_batch});
}

void CpuExecutor::run_op(const OptimizerStep& op, const Task& task) {
    const auto at = [&](Space space) { return resolve(slice_of(op, space), task); };
    adam(team_,
         {.weight = at(Space::parameter),
          .gradient = at(Space::gradient),
          .master = at(Space::master).as<float>(),
          .m = at(Space::adam_m).as<float>(),
          .v = at(Space::adam_v).as<float>()});
}

}  // namespace traindyno
