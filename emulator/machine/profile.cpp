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

SimTime fp8_product_time(const MachineProfile& machine, const MatMul& op) {
    constexpr DType storage = storage_type(Precision::fp8);
    const auto cast = [&](std::int64_t elements) {
        return kernel_time(machine, SimTime{0}, size_of(elements, storage) + Bytes{elements});
    };
    const std::int64_t a = op.m * op.k;
    const std::int64_t b = op.k * op.n;
    const Bytes copies{a + b};
    const Bytes multiplied = traffic(op, storage) - size_of(a + b, storage) + copies;
    return cast(a) + cast(b) +
           kernel_time(machine, arithmetic_time(machine, op, Precision::fp8), multiplied);
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

SimTime op_time(const MachineProfile& machine, const ComputeOp& op, Precision precision) {
    if (precision != Precision::fp8) {
        return kernel_time(
            machine, arithmetic_time(machine, op, precision), traffic(op, storage_type(precision)));
    }
    const auto* product = std::get_if<MatMul>(&op);
    return product != nullptr ? fp8_product_time(machine, *product)
                              : op_time(machine, op, Precision::bf16);
}

}  // namespace traindyno
