// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/flops.hpp"

#include <variant>

#include "emulator/model/forward_flops.hpp"

namespace traindyno {

namespace {

ForwardFlops forward_flops(const Model& model, CausalAttention attention) {
    ForwardFlops forward = forward_flops_per_token(model);
    if (attention == CausalAttention::half) {
        forward.attention = forward.attention * 0.5;
    }
    return forward;
}

}  // namespace

Flops model_flops_per_token(const Model& model, CausalAttention attention) {
    // Backward multiplies each matrix twice: once for the input's gradient, once for the weight's.
    return 3 * forward_flops(model, attention).total();
}

Flops hardware_flops_per_token(const Model& model, Recompute recompute, CausalAttention attention) {
    const Flops once = model_flops_per_token(model, attention);
    const ForwardFlops forward = forward_flops(model, attention);
    switch (recompute) {
        case Recompute::none:
            return once;
        case Recompute::selective:
            return once + forward.attention;
        case Recompute::full:
            return once + forward.layers();
    }
    return once;
}

Flops six_n_d(const Model& model, double tokens) {
    const double count = model.nominal_parameters > 0
                             ? model.nominal_parameters
                             : static_cast<double>(active_parameters(model));
    return Flops{6 * count * tokens};
}

Flops executed_flops(const StepProgram& program, Phase phase) {
    std::vector<Flops> per_block;
    for (const Block& block : program.blocks) {
        Flops sum;
        for (const BlockOp& op : block.ops) {
            const auto* compute = std::get_if<ComputeOp>(&op.op);
            if (compute != nullptr && op.phase == phase) {
                sum += flops(*compute);
            }
        }
        per_block.push_back(sum);
    }
    Flops total;
    for (const Task& task : program.tasks) {
        total += per_block.at(task.block.index());
    }
    return total;
}

}  // namespace traindyno
