// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/kernel_plan/fp8_types.hpp"

#include <bit>

namespace traindyno {

float to_float(Fp8 value, Fp8Format format) {
    const Fp8Traits traits = traits_of(format);
    const auto bits = static_cast<std::uint32_t>(value);
    const std::uint32_t sign = (bits & 0x80U) << 24;
    const std::uint32_t magnitude = bits & 0x7fU;
    if (magnitude > traits.largest_code) {
        const bool infinite = format == Fp8Format::e5m2 && magnitude == 0x7cU;
        return std::bit_cast<float>(sign | (infinite ? 0x7f800000U : 0x7fc00000U));
    }
    const std::uint32_t mantissa_mask = (1U << traits.mantissa_bits) - 1;
    if (magnitude <= mantissa_mask) {
        const float subnormal = static_cast<float>(magnitude) * traits.smallest;
        return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(subnormal));
    }
    const auto rebias = static_cast<std::uint32_t>(127 - traits.exponent_bias) << 23;
    return std::bit_cast<float>(sign | ((magnitude << (23 - traits.mantissa_bits)) + rebias));
}

Fp8 to_fp8(float value, Fp8Format format) {
    const Fp8Traits traits = traits_of(format);
    const auto bits = std::bit_cast<std::uint32_t>(value);
    const std::uint32_t sign = (bits >> 24) & 0x80U;
    const std::uint32_t magnitude = bits & 0x7fffffffU;
    if (magnitude > 0x7f800000U) {
        return Fp8{0x7f};
    }
    if (magnitude >= std::bit_cast<std::uint32_t>(traits.largest)) {
        return static_cast<Fp8>(sign | traits.largest_code);
    }
    if (magnitude < std::bit_cast<std::uint32_t>(traits.smallest_normal)) {
        const float ulp_is_smallest = traits.smallest * 0x1p23F;  // the sum rounds to its multiples
        const float rounded = std::bit_cast<float>(magnitude) + ulp_is_smallest;
        return static_cast<Fp8>(sign | (std::bit_cast<std::uint32_t>(rounded) -
                                        std::bit_cast<std::uint32_t>(ulp_is_smallest)));
    }
    const int shift = 23 - traits.mantissa_bits;
    const auto rebias = static_cast<std::uint32_t>(127 - traits.exponent_bias) << 23;
    const std::uint32_t to_even = (magnitude >> shift) & 1U;
    return static_cast<Fp8>(sign |
                            ((magnitude - rebias + (1U << (shift - 1)) - 1 + to_even) >> shift));
}

}  // namespace traindyno
