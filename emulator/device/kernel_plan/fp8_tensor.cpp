// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/kernel_plan/fp8_tensor.hpp"

#include <algorithm>
#include <variant>

#include "emulator/device/kernel_plan/linear_role.hpp"

namespace traindyno {

namespace {

constexpr std::int64_t fp8_multiple = 16;

const ComputeOp* compute_of(const BlockOp& op) {
    return std::get_if<ComputeOp>(&op.op);
}

/// Elements of main gradients, whose products in fp8 begin at multiples of 16 bytes.
std::int64_t gradients_in_16_bytes(const StepProgram& program) {
    return 16 / element_size(program.gradient_type);
}

bool are_layers_aligned(const StepProgram& program) {
    const std::int64_t multiple = gradients_in_16_bytes(program);
    return std::all_of(program.tasks.begin(), program.tasks.end(), [&](const Task& task) {
        return task.parameter_base % multiple == 0 || !is_layer(program.blocks[task.block.index()]);
    });
}

bool fits_fp8(const LinearRole& role, std::int64_t weight_multiple) {
    return role.weight % weight_multiple == 0 && role.tokens % fp8_multiple == 0 &&
           role.in % fp8_multiple == 0 && role.out % fp8_multiple == 0;
}

Fp8Buffer take(Fp8Home home, std::int64_t& end, std::int64_t bytes) {
    const Fp8Buffer buffer{.home = home, .offset = end, .bytes = bytes};
    end += (bytes + fp8_alignment - 1) / fp8_alignment * fp8_alignment;
    return buffer;
}

/// Sizes of a linear layer, and whether its input is kept from forward to backward.
struct Found {
    LinearRole role;
    bool input_saved = false;
};

void note_products(const Block& block,
                   std::int64_t weight_multiple,
                   std::map<std::int64_t, Found>& found) {
    for (const BlockOp& op : block.ops) {
        const ComputeOp* compute = compute_of(op);
        const auto* product = compute == nullptr ? nullptr : std::get_if<MatMul>(compute);
        const auto role = product == nullptr ? std::nullopt : linear_role(*product);
        if (!role || !fits_fp8(*role, weight_multiple)) {
            continue;
        }
        Found& linear = found[role->weight];
        linear.role = *role;
        if (role->pass == LinearPass::weight_gradient && product->b.space == Space::saved) {
            linear.input_saved = true;
        }
    }
}

}  // namespace

bool is_layer(const Block& block) {
    return std::any_of(block.ops.begin(), block.ops.end(), [](const BlockOp& op) {
        const ComputeOp* compute = compute_of(op);
        return compute != nullptr && (std::holds_alternative<AttentionForward>(*compute) ||
                                      std::holds_alternative<AttentionBackward>(*compute));
    });
}

Fp8Layer fp8_layer(const StepProgram& program) {
    const bool aligned = are_layers_aligned(program);
    std::map<std::int64_t, Found> found;
    for (const Block& block : program.blocks) {
        if (aligned && is_layer(block)) {
            note_products(block, gradients_in_16_bytes(program), found);
        }
    }
    Fp8Layer layer;
    for (const auto& [weight, linear] : found) {
        const LinearRole& role = linear.role;
        Fp8Linear placed;
        placed.index = static_cast<std::uint32_t>(layer.linears.size());
        placed.weight = take(Fp8Home::weights, layer.weight_bytes, role.out * role.in);
        placed.weight_transposed = take(Fp8Home::weights, layer.weight_bytes, role.out * role.in);
        if (linear.input_saved) {
            placed.kept = take(Fp8Home::kept, layer.kept_bytes, role.tokens * role.in);
        }
        layer.linears.emplace(weight, placed);
    }
    return layer;
}

}  // namespace traindyno
