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

/// What users of Megatron-LM's experts set: --sequence-parallel, --use-distributed-optimizer.
TEST(MeasureRequest, cuts_tokens_and_shards_state_beside_experts) {
    for (const char* const zero : {"1", "2", "3"}) {
        const MeasureRequest request =
            experts_on(16, {{"tp", "2"}, {"ep", "4"}, {"sequence-parallel", "on"}, {"zero", zero}});
        EXPECT_EQ(request.points.front().layout, (Layout{.tp = 2, .ep = 4, .dp = 8}));
        EXPECT_EQ(request.workload.setup.sequence_parallel, SequenceParallel::on);
    }
    EXPECT_EQ(experts_on(4, {{"pp", "2"}, {"ep", "2"}, {"schedule", "zero-bubble"}})
                  .workload.setup.schedule,
              Schedule::zero_bubble);
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
    EXPECT_NE(error(8, {{"ep", "2"}, {"zero", "1"}, {"shard", "4"}})
                  .find("shard: 4 does not go with ep 2"),
              std::string::npos);
    EXPECT_NE(error(2, {{"expert-skew", "-1"}}).find("--expert-skew"), std::string::npos);
    EXPECT_NE(error(2, {{"capacity-factor", "x"}}).find("--capacity-factor"), std::string::npos);
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

MeasureRequest request_of(const std::map<std::string, std::string>& values, std::int64_t ranks) {
    Problems problems;
    return measure_request(flags_of(values), ranks, {}, problems);
}

std::string refusal_of(const std::map<std::string, std::string>& values, std::int64_t ranks) {
    try {
        (void)request_of(values, ranks);
    } catch (const ConfigError& error) {
        return error.what();
    }
    return "";
}

TEST(MeasureRequest, shards_as_asked) {
    const MeasureRequest made = request_of({{"device", "timed"},
                                            {"machine", "dgx-h100"},
                                            {"zero", "3"},
                                            {"shard", "4"},
                                            {"prefetch", "2"},
                                            {"overlap-parameters", "off"},
                                            {"gradient-type", "bf16"},
                                            {"gradient-reduction", "every-micro-batch"}},
                                           8);
    const TrainingSetup& setup = made.workload.setup;
    EXPECT_EQ(setup.zero, Zero::parameters);
    EXPECT_EQ(setup.prefetch, 2);
    EXPECT_EQ(setup.overlap_parameters, Overlap::off);
    EXPECT_EQ(setup.gradient_type, DType::bf16);
    EXPECT_EQ(setup.gradient_reduction, GradientReduction::every_micro_batch);
    EXPECT_EQ(made.points.back().layout, (Layout{.dp = 8, .shard = 4}));
}

TEST(MeasureRequest, shards_over_all_replicas_where_a_group_takes_no_fewer) {
    for (const std::int64_t ranks : {1, 2, 4}) {
        EXPECT_EQ(request_of({{"zero", "2"}, {"shard", "4"}}, ranks).points.back().layout,
                  Layout{.dp = ranks});
    }
}

TEST(MeasureRequest, refuses_flags_of_sharding_that_would_do_nothing) {
    const auto refuses = [](const std::string& flag, const std::string& value, const char* zero) {
        const std::string text = refusal_of({{"zero", zero}, {flag, value}}, 8);
        EXPECT_NE(text.find("--" + flag + ": does nothing with --zero " + zero), std::string::npos)
            << text;
    };
    refuses("shard", "2", "0");
    refuses("prefetch", "2", "0");
    refuses("prefetch", "2", "2");
    refuses("overlap-parameters", "off", "0");
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

TEST(ContextParallelism, is_asked_for_by_flags) {
    const auto setup =
        setup_of({{"context-exchange", "all-gather"}, {"context-balance", "contiguous"}});
    EXPECT_EQ(setup.context_exchange, ContextExchange::all_gather);
    EXPECT_EQ(setup.context_balance, ContextBalance::contiguous);
    EXPECT_EQ(setup_of({}).context_exchange, ContextExchange::ring);
    EXPECT_EQ(setup_of({}).context_balance, ContextBalance::zigzag);
    EXPECT_NE(refusal_of({{"cp", "2"}, {"seq", "2"}}, 4).find("cp: 2 does not cut seq 2"),
              std::string::npos);
    EXPECT_NE(refusal_of({{"cp", "3"}}, 4).find("tp 1 x cp 3 x pp 1 = 3 ranks"), std::string::npos);
}

}  // namespace
}  // namespace traindyno
