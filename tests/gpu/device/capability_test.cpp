// SPDX-License-Identifier: Apache-2.0
// Which compute capabilities train in which precision; needs no GPU.
#include "emulator/device/cuda/capability.hpp"

#include <array>
#include <string>

#include <gtest/gtest.h>

namespace traindyno {
namespace {

struct First {
    Precision precision;
    int capability;  ///< the least that has it
};

constexpr std::array firsts{First{Precision::fp32, 70},
                            First{Precision::fp16, 70},
                            First{Precision::tf32, 80},
                            First{Precision::bf16, 80},
                            First{Precision::fp8, 89}};

TEST(Capability, suffices_from_the_first_architecture_that_has_the_precision) {
    static_assert(firsts.size() == enum_count<Precision>);
    for (const First& first : firsts) {
        for (const int capability : {60, 70, 75, 80, 86, 89, 90, 100, 120}) {
            EXPECT_EQ(lacks_precision(capability, first.precision).has_value(),
                      capability < first.capability)
                << to_string(first.precision) << " on sm_" << capability;
        }
    }
}

TEST(Capability, says_what_is_there_and_what_is_needed) {
    const std::string problem = lacks_precision(80, Precision::fp8).value_or("");
    for (const char* part : {"sm_80", "fp8", "sm_89"}) {
        EXPECT_NE(problem.find(part), std::string::npos) << problem;
    }
}

TEST(Capability, of_an_old_gpu_lacks_what_every_device_kind_trains_in) {
    EXPECT_EQ(lacks_precision(60, Precision::fp32).value_or(""),
              "it is sm_60, and fp32 needs sm_70 or later");
}

}  // namespace
}  // namespace traindyno
