// SPDX-License-Identifier: Apache-2.0
#include "emulator/machine/profile.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "emulator/base/error.hpp"

namespace traindyno {

namespace {

/// The order in which listed rates stand in for a missing one.
std::array<Precision, 4> stand_ins(Precision missing) {
    using enum Precision;
    switch (missing) {
        case fp32:
            return {tf32, bf16, fp16, fp8};
        case tf32:
            return {fp32, bf16, fp16, fp8};
        case bf16:
            return {fp16, tf32, fp32, fp8};
        case fp16:
            return {bf16, tf32, fp32, fp8};
        case fp8:
            return {bf16, fp16, tf32, fp32};
    }
    return {};
}

const GemmRate* listed_rate(const MachineProfile& machine, Precision precision) {
    const auto found =
        std::find_if(machine.gemm.begin(), machine.gemm.end(), [&](const GemmRate& rate) {
            return rate.precision == precision;
        });
    return found == machine.gemm.end() ? nullptr : &*found;
}

SimTime kernel_time(const MachineProfile& machine, SimTime arithmetic, Bytes traffic) {
    const SimTime movement = traffic / (machine.memory_bandwidth * machine.memory_efficiency);
    return machine.launch_latency + std::max(arithmetic, movement);
}

SimTime arithmetic_time(const MachineProfile& machine, const ComputeOp& op, Precision precision) {
    const GemmRate& rate = gemm_rate(machine, precision);
    return flops(op) / (rate.peak * rate.efficiency);
}

enum class AlongK : std::uint8_t { strided, contiguous };

/// `elements` of bf16 become fp8 of one byte, plain or transposed.
SimTime cast_time(const MachineProfile& machine, std::int64_t elements, AlongK along_k) {
    if (along_k == AlongK::strided) {
        return Bytes{elements} / (machine.memory_bandwidth * machine.memory_efficiency);
    }
    return kernel_time(
        machine, SimTime{0}, size_of(elements, storage_type(Precision::fp8)) + Bytes{elements});
}

SimTime fp8_product_time(const MachineProfile& machine, const MatMul& op, DType gradient) {
    constexpr DType storage = storage_type(Precision::fp8);
    const std::int64_t a = op.m * op.k;
    const std::int64_t b = op.k * op.n;
    const Bytes moved = traffic(op, storage, gradient) - size_of(a + b, storage) + Bytes{a + b};
    return cast_time(
               machine, a, op.transpose_a == Transpose::no ? AlongK::contiguous : AlongK::strided) +
           cast_time(machine,
                     b,
                     op.transpose_b == Transpose::yes ? AlongK::contiguous : AlongK::strided) +
           kernel_time(machine, arithmetic_time(machine, op, Precision::fp8), moved);
}

/// 16-byte leading dimensions in every layout: what fp8 products need (cuBLAS documentation,
/// cublasLtMatmul).
bool has_fp8_sizes(const MatMul& op) {
    constexpr std::int64_t multiple = 16;
    return op.m % multiple == 0 && op.n % multiple == 0 && op.k % multiple == 0;
}

}  // namespace

const GemmRate& gemm_rate(const MachineProfile& machine, Precision precision) {
    const GemmRate* rate = listed_rate(machine, precision);
    for (const Precision other : stand_ins(precision)) {
        rate = rate != nullptr ? rate : listed_rate(machine, other);
    }
    TD_EXPECT(rate != nullptr);
    return *rate;
}

std::string substitution(const MachineProfile& machine, Precision precision) {
    const Precision used = gemm_rate(machine, precision).precision;
    return used == precision
               ? ""
               : fmt::format("{} lists no {} rate: matrix products are timed at its {} rate",
                             machine.name,
                             to_string(precision),
                             to_string(used));
}

SimTime op_time(const MachineProfile& machine,
                const ComputeOp& op,
                Precision precision,
                DType gradient) {
    if (precision != Precision::fp8) {
        return kernel_time(machine,
                           arithmetic_time(machine, op, precision),
                           traffic(op, storage_type(precision), gradient));
    }
    const auto* product = std::get_if<MatMul>(&op);
    return product != nullptr && has_fp8_sizes(*product)
               ? fp8_product_time(machine, *product, gradient)
               : op_time(machine, op, Precision::bf16, gradient);
}

}  // namespace traindyno
