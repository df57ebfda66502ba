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

TrainingSetup setup_of(const std::map<std::string, std::string>& values) {
    Problems problems;
    Flags flags = flags_of(values);
    flags.command = Command::show_program;
    return show_arguments(flags, problems).workload.setup;
}

TEST(ShowArguments, the_interleaved_schedule_has_two_chunks_unless_told) {
    EXPECT_EQ(setup_of({{"pp", "2"}}).virtual_stages, 1);
    EXPECT_EQ(setup_of({{"pp", "2"}, {"schedule", "interleaved"}}).virtual_stages, 2);
    EXPECT_EQ(setup_of({{"pp", "2"}, {"schedule", "interleaved"}, {"virtual-stages", "3"}})
                  .virtual_stages,
              3);
}

TEST(ShowArguments, layers_of_stages_are_listed_or_follow_from_the_edges) {
    using Layers = std::vector<std::int64_t>;
    EXPECT_EQ(setup_of({{"pp", "3"}, {"stage-layers", "3,5,4"}}).stage_layers, (Layers{3, 5, 4}));
    EXPECT_EQ(setup_of({{"pp", "3"}, {"last-stage-layers", "2"}}).stage_layers, (Layers{5, 5, 2}));
    for (const char* wrong : {"3,x,4", "3,,9", "12,0"}) {
        EXPECT_THROW((void)setup_of({{"pp", "3"}, {"stage-layers", wrong}}), ConfigError) << wrong;
    }
}

}  // namespace
}  // namespace traindyno
