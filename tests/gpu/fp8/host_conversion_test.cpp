// SPDX-License-Identifier: Apache-2.0
// Our fp8 conversions against those of cuda_fp8.h.
#include <bit>
#include <cmath>
#include <cstdint>
#include <string>

#include <cuda_fp8.h>
#include <gtest/gtest.h>

#include "emulator/device/kernel_plan/fp8_types.hpp"

namespace traindyno {
namespace {

__nv_fp8_interpretation_t interpretation(Fp8Format format) {
    return format == Fp8Format::e4m3 ? __NV_E4M3 : __NV_E5M2;
}

class HostConversion : public testing::TestWithParam<Fp8Format> {};

TEST_P(HostConversion, encodes_as_cuda_does) {
    const auto kind = interpretation(GetParam());
    // Every exponent and sign, every mantissa whose lower 12 bits are 0, 1 or all ones: all ties
    // and the values on both sides of them.
    for (std::uint32_t upper = 0; upper < (1U << 20); ++upper) {
        for (const std::uint32_t lower : {0U, 1U, 0xfffU}) {
            const auto value = std::bit_cast<float>((upper << 12) | lower);
            ASSERT_EQ(static_cast<unsigned>(to_fp8(value, GetParam())),
                      static_cast<unsigned>(__nv_cvt_float_to_fp8(value, __NV_SATFINITE, kind)))
                << value;
        }
    }
}

TEST_P(HostConversion, decodes_as_cuda_does) {
    for (unsigned code = 0; code < 256; ++code) {
        const __half_raw half = __nv_cvt_fp8_to_halfraw(static_cast<__nv_fp8_storage_t>(code),
                                                        interpretation(GetParam()));
        const float expected = __half2float(__half(half));
        const float value = to_float(static_cast<Fp8>(code), GetParam());
        EXPECT_TRUE(value == expected || (std::isnan(value) && std::isnan(expected))) << code;
    }
}

INSTANTIATE_TEST_SUITE_P(Formats,
                         HostConversion,
                         testing::Values(Fp8Format::e4m3, Fp8Format::e5m2),
                         [](const auto& format) { return std::string(to_string(format.param)); });

}  // namespace
}  // namespace traindyno
