// SPDX-License-Identifier: Apache-2.0
// A step in fp8 with delayed scaling: its plan, its memory, and what its casts cost.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "emulator/device/kernel_plan/fp8_block_plan.hpp"
#include "emulator/program/memory.hpp"
#include "emulator/program/step_program.hpp"

namespace traindyno {

struct Fp8Plan {
    Fp8Layer layer;
    std::vector<Fp8BlockPlan> blocks;                  ///< by block of the program
    std::map<std::int64_t, std::int64_t> layers;       ///< by Task::parameter_base, from 0
    std::map<std::int64_t, std::int64_t> activations;  ///< by Task::saved_base, from 0

    /// Byte at which `home` begins for `task`, which must run a layer.
    [[nodiscard]] std::int64_t base_of(Fp8Home home, const Task& task) const;
    /// Bytes of `home`, for all tasks.
    [[nodiscard]] std::int64_t extent_of(Fp8Home home) const;
    /// Tensors with a scale, over all layers.
    [[nodiscard]] std::int64_t tensors() const;
    /// Number of a tensor among them. The same for all micro-batches.
    [[nodiscard]] std::int64_t index_of(const Fp8Tensor& tensor, const Task& task) const;
};

/// Linear layers of transformer layers, their activations and weights in E4M3, incoming gradients
/// in E5M2 (Micikevicius et al., arXiv:2209.05433, section 3); results in bf16, weight gradients
/// added in fp32. Logits, embedding and attention keep the program's precision.
[[nodiscard]] Fp8Plan fp8_plan(const StepProgram& program);

/// What fp8 needs beside memory_items(program).
[[nodiscard]] std::vector<MemoryItem> memory_items(const Fp8Plan& plan);

/// Whether `cast` runs in `task`.
[[nodiscard]] bool is_due(const Fp8CastStep& cast, const Task& task);

/// Bytes read (2 for an element of bf16) and written (1 for each copy).
[[nodiscard]] Bytes traffic(const Fp8CastStep& cast);

struct CastVolume {
    std::int64_t casts = 0;
    Bytes traffic;

    friend bool operator==(const CastVolume&, const CastVolume&) = default;
};

/// All casts of a step.
[[nodiscard]] CastVolume cast_volume(const StepProgram& program, const Fp8Plan& plan);

}  // namespace traindyno
