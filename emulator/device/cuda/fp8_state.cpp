// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/cuda/fp8_state.hpp"

#include "emulator/device/cuda/fp8/fp8_cast.hpp"
#include "emulator/device/kernel_plan/fp8_scale_bytes.hpp"

namespace traindyno {

namespace {

/// By Fp8Plan::index_of: every layer has the same tensors, three for each linear layer.
std::vector<Fp8Format> formats_of(const Fp8Plan& plan) {
    std::vector<Fp8Format> formats;
    while (static_cast<std::int64_t>(formats.size()) < plan.tensors()) {
        for (const Fp8Role role : {Fp8Role::activation, Fp8Role::weight, Fp8Role::gradient}) {
            formats.push_back(format_of(role));
        }
    }
    return formats;
}

}  // namespace

Fp8State::Fp8State(const StepProgram& program, const Fp8Plan& plan, cudaStream_t stream)
    : plan_(plan) {
    for (const Fp8Home home : {Fp8Home::weights, Fp8Home::kept, Fp8Home::scratch}) {
        homes_[static_cast<std::size_t>(home)] = DeviceBytes(Bytes{plan.extent_of(home)});
    }
    for (std::size_t b = 0; b < program.blocks.size(); ++b) {
        for (const Fp8CastStep& cast : plan.blocks[b].casts) {
            const BlockOp& op = program.blocks[b].ops[cast.before];
            casts_[&std::get<ComputeOp>(op.op)].push_back(&cast);
        }
    }
    reset_scales(stream);
}

void Fp8State::reset_scales(cudaStream_t stream) {
    scaling_.emplace(formats_of(plan_), amax_history_steps, stream);
}

std::byte* Fp8State::at(const Fp8Buffer& buffer, const Task& task) const {
    return homes_[static_cast<std::size_t>(buffer.home)].data() + plan_.base_of(buffer.home, task) +
           buffer.offset;
}

void Fp8State::cast_operands(const ComputeOp& op,
                             const Task& task,
                             const DeviceMemory& memory,
                             cudaStream_t stream) const {
    const auto found = casts_.find(&op);
    if (found == casts_.end()) {
        return;
    }
    for (const Fp8CastStep* cast : found->second) {
        if (!is_due(*cast, task)) {
            continue;
        }
        const std::int64_t tensor = plan_.index_of(cast->tensor, task);
        cast_fp8({.source = memory.at(cast->source, task).data(),
                  .rows = cast->rows,
                  .columns = cast->columns,
                  .format = format_of(cast->tensor.role),
                  .scale = scaling_->scale(tensor),
                  .amax = cast->amax == Amax::recorded ? scaling_->amax(tensor) : nullptr,
                  .plain = cast->plain ? at(*cast->plain, task) : nullptr,
                  .transposed = cast->transposed ? at(*cast->transposed, task) : nullptr},
                 stream);
    }
}

Fp8State::Operands Fp8State::operands(const Fp8Product& product, const Task& task) const {
    return {.a = operand(product.a, task), .b = operand(product.b, task)};
}

Fp8State::Operand Fp8State::operand(const Fp8Operand& operand, const Task& task) const {
    return {.data = at(operand.buffer, task),
            .inverse_scale = scaling_->inverse_scale(plan_.index_of(operand.tensor, task))};
}

}  // namespace traindyno
