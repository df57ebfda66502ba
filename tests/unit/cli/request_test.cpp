// SPDX-License-Identifier: Apache-2.0
// Flags become a typed request: --precision, its default per device, and what is refused.
#include "emulator/cli/request.hpp"

#include <map>
#include <string>

#include <gtest/gtest.h>

#include "emulator/base/error.hpp"
#include "tests/unit/cli/flags_of.hpp"

namespace traindyno {
namespace {

Precision precision_of(const std::map<std::string, std::string>& values) {
    Problems problems;
    return measure_request(flags_of(values), 1, {}, problems).workload.setup.precision;
}

TEST(MeasureRequest, takes_every_precision_by_its_name) {
    for (std::size_t i = 0; i < enum_count<Precision>; ++i) {
        const auto precision = static_cast<Precision>(i);
        EXPECT_EQ(precision_of({{"device", "timed"},
                                {"machine", "dgx-h100"},
                                {"precision", std::string(to_string(precision))}}),
                  precision);
    }
}

TEST(MeasureRequest, trains_in_fp32_on_cpus_and_in_bf16_on_timed_devices_unless_told) {
    EXPECT_EQ(precision_of({}), Precision::fp32);
    EXPECT_EQ(precision_of({{"device", "timed"}, {"machine", "dgx-h100"}}), Precision::bf16);
}

TEST(MeasureRequest, lists_the_precisions_when_one_is_unknown) {
    for (const char* text : {"fp64", "int64", "FP8", "fp8 "}) {
        try {
            (void)precision_of({{"precision", text}});
            ADD_FAILURE() << text << " was accepted";
        } catch (const ConfigError& error) {
            EXPECT_EQ(std::string(error.what()),
                      std::string("--precision: '") + text +
                          "' is not known (the choices are fp32, tf32, bf16, fp16 or fp8) use one "
                          "of them");
        }
    }
}

MeasureRequest experts_on(std::int64_t ranks, std::map<std::string, std::string> values) {
    Problems problems;
    values["model"] = "mixtral-8x7b";
    return measure_request(flags_of(values), ranks, {}, problems);
}

TEST(MeasureRequest, divides_experts_among_data_parallel_ranks) {
    const MeasureRequest request =
        experts_on(16, {{"tp", "2"}, {"ep", "4"}, {"expert-skew", "0.5"}});
    EXPECT_EQ(request.points.front().layout, (Layout{.tp = 2, .ep = 4, .dp = 8}));
    EXPECT_EQ(request.workload.setup.expert_skew, 0.5);
    EXPECT_EQ(request.workload.setup.capacity_factor, 0);
    EXPECT_EQ(experts_on(2, {{"capacity-factor", "1.25"}}).workload.setup.capacity_factor, 1.25);
}

TEST(MeasureRequest, says_what_experts_cannot_be_divided_so) {
    const auto error = [](std::int64_t ranks, std::map<std::string, std::string> values) {
        try {
            (void)experts_on(ranks, std::move(values));
        } catch (const ConfigError& problem) {
            return std::string(problem.what());
        }
        return std::string();
    };
    EXPECT_NE(error(6, {{"ep", "4"}}).find("ep: 4 does not divide dp 6"), std::string::npos);
    EXPECT_NE(error(2, {{"expert-skew", "-1"}}).find("--expert-skew"), std::string::npos);
    EXPECT_NE(error(2, {{"capacity-factor", "x"}}).find("--capacity-factor"), std::string::npos);
}

}  // namespace
}  // namespace traindyno
