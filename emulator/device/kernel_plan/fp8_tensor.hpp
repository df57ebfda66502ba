// SPDX-License-Identifier: Apache-2.0
// The tensors of a linear layer that are cast to fp8, and where their copies lie.
#pragma once

#include <cstdint>
#include <map>

#include "emulator/device/kernel_plan/fp8_types.hpp"
#include "emulator/program/step_program.hpp"

namespace traindyno {

enum class Fp8Role : std::uint8_t { activation, weight, gradient };

[[nodiscard]] constexpr Fp8Format format_of(Fp8Role role) {
    return role == Fp8Role::gradient ? Fp8Format::e5m2 : Fp8Format::e4m3;
}

/// An operand of one linear layer, with a scale of its own.
struct Fp8Tensor {
    std::uint32_t linear = 0;  ///< of the transformer layer, by ascending offset of the weight
    Fp8Role role = Fp8Role::activation;

    friend bool operator==(const Fp8Tensor&, const Fp8Tensor&) = default;

    /// Among the tensors of the layer, 3 for each linear layer.
    [[nodiscard]] std::int64_t index() const {
        return std::int64_t{3} * linear + static_cast<std::int64_t>(role);
    }
};

enum class Fp8Home : std::uint8_t {
    weights,  ///< until the next step, one place for each layer of the stage
    kept,     ///< from forward to backward, one place for each layer in saved space
    scratch,  ///< within a task
};

/// One byte per element. `offset` counts from Fp8Plan::base_of(home, task).
struct Fp8Buffer {
    Fp8Home home = Fp8Home::scratch;
    std::int64_t offset = 0;
    std::int64_t bytes = 0;

    friend bool operator==(const Fp8Buffer&, const Fp8Buffer&) = default;
};

/// Buffers begin at multiples of this: what cudaMalloc guarantees, and more than any kernel asks.
inline constexpr std::int64_t fp8_alignment = 256;

/// y[tokens, out] = x[tokens, in] weight[out, in]^T and its gradients, in fp8.
struct Fp8Linear {
    std::uint32_t index = 0;
    Fp8Buffer weight;             ///< [out, in]
    Fp8Buffer weight_transposed;  ///< [in, out]
    Fp8Buffer kept;               ///< x transposed, [in, tokens]; empty unless x is in saved space
};

/// The linear layers of every transformer layer of a stage.
struct Fp8Layer {
    std::map<std::int64_t, Fp8Linear> linears;  ///< by offset of the weight
    std::int64_t weight_bytes = 0;
    std::int64_t kept_bytes = 0;
};

/// Linear layers whose sizes are all multiples of 16 and whose gradients begin at multiples of 16
/// bytes, which fp8 products need (cuBLAS documentation, cublasLtMatmul: 16-byte leading dimensions
/// and pointers). Logits and embedding are not among
/// them.
[[nodiscard]] Fp8Layer fp8_layer(const StepProgram& program);

/// Whether `block` is a transformer layer's: it has core attention.
[[nodiscard]] bool is_layer(const Block& block);

}  // namespace traindyno
