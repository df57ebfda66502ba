// SPDX-License-Identifier: Apache-2.0
// Programs of ranks that each have a part of every sequence.
#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "emulator/program/flops.hpp"
#include "emulator/program/print.hpp"
#include "emulator/program/verify.hpp"
#include "emulator/program/volume.hpp"
#include "tests/unit/program/block_names.hpp"
#include "tests/unit/program/cases.hpp"
#include "tests/unit/program/hazards.hpp"

namespace traindyno {
namespace {

using Names = std::vector<std::string>;

constexpr std::array exchanges{ContextExchange::ring, ContextExchange::all_gather};
constexpr std::array balances{ContextBalance::zigzag, ContextBalance::contiguous};

/// With one layer, no biases and rotary positions.
StepProgram llama_program(const Layout& layout,
                          std::int64_t rank,
                          ContextExchange exchange,
                          ContextBalance balance) {
    TrainingSetup setup = setup_of(layout, 1);
    setup.context_exchange = exchange;
    setup.context_balance = balance;
    return build_step(small_llama(1), layout, setup, WorldRank{rank});
}

/// The operations of core attention in a block: between the rotation and the projection.
Names core_attention(const StepProgram& program) {
    const Names names = names_of(block_named(program, "layer_forward"));
    const auto begin = std::find(names.begin(), names.end(), "rotary_forward");
    return {begin + 1, std::find(begin, names.end(), "matmul")};
}

TEST(ContextParallel, ring_exchanges_while_it_attends) {
    const StepProgram program =
        llama_program({.cp = 4}, 1, ContextExchange::ring, ContextBalance::zigzag);
    EXPECT_EQ(core_attention(program),
              (Names{"slice_columns",
                     "all_to_all",
                     "attention_forward",
                     "all_to_all",
                     "attention_forward",
                     "attention_merge",
                     "all_to_all",
                     "attention_forward",
                     "attention_merge",
                     "attention_forward",
                     "attention_merge"}));
    const Block& block = block_named(program, "layer_forward");
    const Names names = names_of(block);
    const auto first = static_cast<std::uint32_t>(
        std::find(names.begin(), names.end(), "all_to_all") - names.begin());
    EXPECT_TRUE(block.ops[first + 1].after.empty()) << "own keys are attended to at once";
    EXPECT_EQ(block.ops[first + 3].after, std::vector<std::uint32_t>{first});
    EXPECT_EQ(block.ops[first + 6].after, std::vector<std::uint32_t>{first + 2});
    EXPECT_EQ(block.ops[first + 8].after, std::vector<std::uint32_t>{first + 5});
}

TEST(ContextParallel, gathering_is_hidden_behind_own_keys) {
    const StepProgram program =
        llama_program({.cp = 2}, 1, ContextExchange::all_gather, ContextBalance::zigzag);
    EXPECT_EQ(core_attention(program),
              (Names{"slice_columns",
                     "all_gather",
                     "attention_forward",
                     "attention_forward",
                     "attention_merge"}));
}

/// With parts in order the first rank sees nothing of the others, yet passes everything on.
TEST(ContextParallel, first_of_contiguous_parts_attends_to_itself_alone) {
    const StepProgram program =
        llama_program({.cp = 4}, 0, ContextExchange::ring, ContextBalance::contiguous);
    EXPECT_EQ(
        core_attention(program),
        (Names{"slice_columns", "all_to_all", "attention_forward", "all_to_all", "all_to_all"}));
}

double attention_flops(const StepProgram& program) {
    double sum = 0;
    for (const Block& block : program.blocks) {
        for (const BlockOp& op : block.ops) {
            const auto* compute = std::get_if<ComputeOp>(&op.op);
            if (compute != nullptr && std::holds_alternative<AttentionForward>(*compute)) {
                sum += flops(*compute).value();
            }
        }
    }
    return sum;
}

/// All ranks together have the s^2 pairs of a causal sequence: cp (s / cp)^2 each, or with
/// contiguous parts an odd number of (s / cp)^2.
TEST(ContextParallel, zigzag_parts_make_attention_equal_on_all_ranks) {
    for (const std::int64_t cp : {2, 4}) {
        const Model model = small_llama(1);
        const auto part = static_cast<double>(model.seq / cp);
        const double per_pair = 4.0 * 8 * 16;  // 2 products, 2 h d
        for (std::int64_t rank = 0; rank < cp; ++rank) {
            for (const ContextExchange exchange : exchanges) {
                const Layout layout{.cp = cp};
                EXPECT_DOUBLE_EQ(
                    attention_flops(llama_program(layout, rank, exchange, ContextBalance::zigzag)),
                    per_pair * part * part * static_cast<double>(cp));
                EXPECT_DOUBLE_EQ(attention_flops(llama_program(
                                     layout, rank, exchange, ContextBalance::contiguous)),
                                 per_pair * part * part * static_cast<double>(2 * rank + 1));
            }
        }
    }
}

TEST(ContextParallel, learned_positions_are_those_of_the_ranks_parts) {
    const auto offsets = [](ContextBalance balance) {
        const Layout layout{.cp = 2};
        TrainingSetup setup = setup_of(layout, 1, 2);
        setup.context_balance = balance;
        const StepProgram program = build_step(small_gpt(1), layout, setup, WorldRank{1});
        std::vector<std::int64_t> rows;
        const Slice* first = nullptr;
        for (const BlockOp& op : block_named(program, "embedding_forward").ops) {
            const Slice& positions = std::get<Elementwise>(std::get<ComputeOp>(op.op)).reads.at(1);
            first = first == nullptr ? &positions : first;
            rows.push_back((positions.offset - first->offset) / 64);
            rows.push_back(positions.elements / 64);
        }
        return rows;
    };
    // Quarters 1 and 2 of each of two sequences of 16 tokens, and half 1 of both.
    EXPECT_EQ(offsets(ContextBalance::zigzag), (std::vector<std::int64_t>{0, 4, 4, 4, 0, 4, 4, 4}));
    EXPECT_EQ(offsets(ContextBalance::contiguous), (std::vector<std::int64_t>{0, 8}));
}

/// The first operation of that kind in a block of a program.
template <class Attention>
Attention& attention_in(StepProgram& program, std::string_view name) {
    for (Block& block : program.blocks) {
        for (BlockOp& op : block.ops) {
            auto* compute = std::get_if<ComputeOp>(&op.op);
            if (block.name == name && compute != nullptr &&
                std::holds_alternative<Attention>(*compute)) {
                return std::get<Attention>(*compute);
            }
        }
    }
    TD_EXPECT(!"attention");
    return std::get<Attention>(std::get<ComputeOp>(program.blocks.front().ops.front().op));
}

TEST(ContextParallel, verify_finds_attention_with_wrong_keys) {
    const Layout layout{.cp = 2};
    const auto programs = build_all(small_llama(1), layout, setup_of(layout, 1));
    const auto findings = [&](const auto& change) {
        auto changed = programs;
        change(changed[1]);
        const auto found = verify(changed);
        return found.empty() ? "" : found.front();
    };
    const auto contains = [](const std::string& text, std::string_view part) {
        return text.find(part) != std::string::npos;
    };
    EXPECT_TRUE(contains(findings([](StepProgram& program) {
                             attention_in<AttentionForward>(program, "layer_forward").keys += 1;
                         }),
                         "to 5 keys with operands of other sizes"));
    EXPECT_TRUE(contains(
        findings([](StepProgram& program) {
            attention_in<AttentionBackward>(program, "layer_backward").grad_keys_values.elements -=
                1;
        }),
        "to 4 keys with operands of other sizes"));
    EXPECT_TRUE(contains(findings([](StepProgram& program) {
                             auto& op = attention_in<AttentionForward>(program, "layer_forward");
                             op.keys = 2;
                             op.keys_values.elements /= 2;
                         }),
                         "masks 2 keys for 4 queries as causal"));
}

std::string text_of(const Case& point) {
    return point.text() + " context " + std::string(to_string(point.setup.context_exchange)) + " " +
           std::string(to_string(point.setup.context_balance));
}

double total_flops(const std::vector<StepProgram>& programs) {
    double sum = 0;
    for (const StepProgram& program : programs) {
        for (std::size_t phase = 0; phase < enum_count<Phase>; ++phase) {
            sum += executed_flops(program, static_cast<Phase>(phase)).value();
        }
    }
    return sum;
}

/// The same training with whole sequences, and nothing sharded.
std::vector<StepProgram> whole_sequences(Case point) {
    point.layout.cp = 1;
    point.layout.shard = 0;
    point.setup.zero = Zero::none;
    return build_all(point.model, point.layout, point.setup);
}

void expect_sound(const Case& point) {
    ASSERT_EQ(problems_of(point.model, point.layout, point.setup), none) << text_of(point);
    const auto programs = build_all(point.model, point.layout, point.setup);
    EXPECT_EQ(verify(programs), none) << text_of(point);
    EXPECT_EQ(parse_program(print(programs[0])), programs[0]) << text_of(point);
    EXPECT_DOUBLE_EQ(total_flops(programs), total_flops(whole_sequences(point)));
    for (const StepProgram& program : programs) {
        EXPECT_EQ(races_in(program), none) << text_of(point);
        if (point.setup.memory == MemoryMode::faithful) {  // layers that share memory overwrite it
            EXPECT_EQ(stale_reads_in(program), none) << text_of(point);
        }
        EXPECT_EQ(overlaps_in(program), none) << text_of(point);
        EXPECT_EQ(counted_volumes(program),
                  closed_form_volumes(point.model, point.layout, point.setup, program.stage))
            << text_of(point);
    }
}

Model long_enough(Model model, std::int64_t layers, std::int64_t cp) {
    model.layers = layers;
    model.seq = 16 * cp;
    return model;
}

/// Both exchanges and balances, every recomputation, one and two sequences per micro-batch.
TEST(ContextParallel, is_sound_and_moves_the_closed_form_with_every_exchange) {
    for (const std::int64_t cp : {2, 3, 4, 8}) {
        for (const std::int64_t tp : {1, 2}) {
            const Layout layout{.tp = tp, .cp = cp};
            for (int choice = 0; choice < 24; ++choice) {
                TrainingSetup setup = setup_of(layout, 2, 1 + choice / 12);
                setup.context_exchange = exchanges.at(static_cast<std::size_t>(choice) % 2);
                setup.context_balance = balances.at(static_cast<std::size_t>(choice) / 2 % 2);
                setup.recompute = static_cast<Recompute>(choice / 4 % 3);
                setup.precision = choice % 3 == 0 ? Precision::bf16 : Precision::fp32;
                const bool cut = tp > 1 && choice % 3 > 0;
                setup.sequence_parallel = cut ? SequenceParallel::on : SequenceParallel::off;
                setup.overlap_tp = cut && choice % 3 == 2 ? Overlap::on : Overlap::off;
                const Model model = choice % 4 < 2 ? small_gpt(2) : small_llama(2);
                expect_sound({long_enough(model, 2, cp), layout, setup});
            }
        }
    }
}

/// Pipelines with every schedule, data parallelism with every way to shard, both memory modes.
TEST(ContextParallel, is_sound_beside_every_other_dimension) {
    int turn = 0;
    for (const Layout& layout : {Layout{.cp = 2, .dp = 2},
                                 Layout{.cp = 2, .pp = 2},
                                 Layout{.tp = 2, .cp = 2, .dp = 2},
                                 Layout{.cp = 4, .dp = 2, .shard = 2},
                                 Layout{.cp = 2, .dp = 2, .pp = 2},
                                 Layout{.tp = 2, .cp = 2, .pp = 2}}) {
        for (const Schedule schedule : {Schedule::gpipe,
                                        Schedule::one_f_one_b,
                                        Schedule::interleaved,
                                        Schedule::zero_bubble}) {
            for (const Zero zero :
                 {Zero::none, Zero::optimizer, Zero::gradients, Zero::parameters}) {
                TrainingSetup setup = setup_of(layout, 4);
                setup.schedule = schedule;
                setup.virtual_stages = schedule == Schedule::interleaved ? 2 : 1;
                setup.zero = zero;
                setup.context_exchange = exchanges.at(static_cast<std::size_t>(turn) % 2);
                setup.context_balance = balances.at(static_cast<std::size_t>(turn) / 2 % 2);
                setup.recompute = static_cast<Recompute>(turn % 3);
                setup.memory = turn % 5 == 0 ? MemoryMode::aliased : MemoryMode::faithful;
                ++turn;
                Case point{long_enough(small_llama(2), 4 * layout.pp, layout.cp), layout, setup};
                if (zero == Zero::none) {
                    point.layout.shard = 0;
                }
                if (problems_of(point.model, point.layout, point.setup).empty()) {
                    expect_sound(point);
                } else {
                    // Whatever does not go together does not with as many replicas either.
                    point.layout.dp *= layout.cp;
                    point.setup.global_batch *= layout.cp;
                    point.layout.cp = 1;
                    EXPECT_NE(problems_of(point.model, point.layout, point.setup), none)
                        << text_of(point);
                }
            }
        }
    }
}

}  // namespace
}  // namespace traindyno
