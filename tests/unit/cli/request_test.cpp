// SPDX-License-Identifier: Apache-2.0
// Flags become a typed request: --precision, --collectives, their defaults, and what is refused.
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

TEST(MeasureRequest, shares_tokens_and_cuts_products_where_told) {
    Problems problems;
    const auto setup = [&](const std::map<std::string, std::string>& values) {
        return measure_request(flags_of(values), 2, {}, problems).workload.setup;
    };
    EXPECT_EQ(setup({{"tp", "2"}}).sequence_parallel, SequenceParallel::off);
    EXPECT_EQ(setup({{"tp", "2"}}).overlap_tp, Overlap::off);
    const TrainingSetup on =
        setup({{"tp", "2"}, {"sequence-parallel", "on"}, {"overlap-tp", "on"}});
    EXPECT_EQ(on.sequence_parallel, SequenceParallel::on);
    EXPECT_EQ(on.overlap_tp, Overlap::on);
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

MeasureRequest request_of(const std::map<std::string, std::string>& values) {
    Problems problems;
    std::map<std::string, std::string> all = values;
    all.emplace("device", "cpu");
    all.emplace("out", "results");
    return measure_request(flags_of(all), 1, {}, problems);
}

TEST(MeasureRequest, takes_every_carrier_by_its_name) {
    EXPECT_EQ(request_of({}).collectives, std::nullopt);
    EXPECT_EQ(request_of({{"collectives", "auto"}}).collectives, std::nullopt);
    for (std::size_t i = 0; i < enum_count<Carrier>; ++i) {
        const auto carrier = static_cast<Carrier>(i);
        EXPECT_EQ(request_of({{"collectives", std::string(to_string(carrier))}}).collectives,
                  carrier);
    }
    EXPECT_EQ(request_of({{"collectives", "rhd"}}).collectives, Carrier::halving_doubling);
    EXPECT_THROW(request_of({{"collectives", "rings"}}), ConfigError);
}

TEST(MeasureRequest, keeps_choices_only_where_it_chooses) {
    EXPECT_EQ(request_of({{"tuning", "t.toml"}}).tuning, "t.toml");
    EXPECT_THROW(request_of({{"tuning", "t.toml"}, {"collectives", "ring"}}), ConfigError);
}

}  // namespace
}  // namespace traindyno
