// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/kernel_plan/fp8_plan.hpp"

#include <algorithm>

#include "emulator/device/kernel_plan/fp8_scale_bytes.hpp"

namespace traindyno {

namespace {

std::int64_t size(const std::map<std::int64_t, std::int64_t>& places) {
    return static_cast<std::int64_t>(places.size());
}

}  // namespace

std::int64_t Fp8Plan::base_of(Fp8Home home, const Task& task) const {
    switch (home) {
        case Fp8Home::weights:
            return layers.at(task.parameter_base) * layer.weight_bytes;
        case Fp8Home::kept:
            return activations.at(task.saved_base) * layer.kept_bytes;
        case Fp8Home::scratch:
            return 0;
    }
    return 0;
}

std::int64_t Fp8Plan::extent_of(Fp8Home home) const {
    switch (home) {
        case Fp8Home::weights:
            return size(layers) * layer.weight_bytes;
        case Fp8Home::kept:
            return size(activations) * layer.kept_bytes;
        case Fp8Home::scratch: {
            std::int64_t bytes = 0;
            for (const Fp8BlockPlan& block : blocks) {
                bytes = std::max(bytes, block.scratch_bytes);
            }
            return bytes;
        }
    }
    return 0;
}

std::int64_t Fp8Plan::tensors() const {
    return 3 * size(layers) * static_cast<std::int64_t>(layer.linears.size());
}

std::int64_t Fp8Plan::index_of(const Fp8Tensor& tensor, const Task& task) const {
    const auto per_layer = 3 * static_cast<std::int64_t>(layer.linears.size());
    return layers.at(task.parameter_base) * per_layer + tensor.index();
}

Fp8Plan fp8_plan(const StepProgram& program) {
    Fp8Plan plan;
    plan.layer = fp8_layer(program);
    for (const Block& block : program.blocks) {
        plan.blocks.push_back(plan_fp8_block(block, plan.layer));
    }
    for (const Task& task : program.tasks) {
        if (is_layer(program.blocks[task.block.index()])) {
            plan.layers.emplace(task.parameter_base, size(plan.layers));
            plan.activations.emplace(task.saved_base, size(plan.activations));
        }
    }
    return plan;
}

std::vector<MemoryItem> memory_items(const Fp8Plan& plan) {
    return {{.name = "fp8_weights", .bytes = Bytes{plan.extent_of(Fp8Home::weights)}},
            {.name = "fp8_activations", .bytes = Bytes{plan.extent_of(Fp8Home::kept)}},
            {.name = "fp8_workspace", .bytes = Bytes{plan.extent_of(Fp8Home::scratch)}},
            {.name = "fp8_scales", .bytes = fp8_scale_bytes(plan.tensors(), amax_history_steps)}};
}

bool is_due(const Fp8CastStep& cast, const Task& task) {
    return cast.time == CastTime::every_task || task.micro_batch == MicroBatch{0};
}

Bytes traffic(const Fp8CastStep& cast) {
    const std::int64_t per_element =
        element_size(DType::bf16) + (cast.plain ? 1 : 0) + (cast.transposed ? 1 : 0);
    return Bytes{cast.rows * cast.columns * per_element};
}

CastVolume cast_volume(const StepProgram& program, const Fp8Plan& plan) {
    CastVolume volume;
    for (const Task& task : program.tasks) {
        for (const Fp8CastStep& cast : plan.blocks[task.block.index()].casts) {
            if (is_due(cast, task)) {
                ++volume.casts;
                volume.traffic += traffic(cast);
            }
        }
    }
    return volume;
}

}  // namespace traindyno
