// SPDX-License-Identifier: Apache-2.0
// Step programs of mixtures of experts: loads, traffic, memory, work.
#include <algorithm>
#include <cmath>
#include <numeric>

#include <gtest/gtest.h>

#include "emulator/program/expert_routes.hpp"
#include "emulator/program/flops.hpp"
#include "emulator/program/memory.hpp"
#include "emulator/program/print.hpp"
#include "emulator/program/verify.hpp"
#include "emulator/program/volume.hpp"
#include "tests/unit/program/expert_cases.hpp"
#include "tests/unit/program/hazards.hpp"

namespace traindyno {
namespace {

std::string text_of(const Case& at) {
    return at.text() + " ep " + std::to_string(at.layout.ep) + " skew " +
           std::to_string(at.setup.expert_skew) + " capacity " +
           std::to_string(at.setup.capacity_factor);
}

std::int64_t sum(const std::vector<std::int64_t>& list) {
    return std::accumulate(list.begin(), list.end(), std::int64_t{0});
}

TEST(ExpertLoads, sum_to_the_visits_of_all_tokens) {
    for (const std::int64_t experts : {1, 2, 7, 8, 64, 256}) {
        for (const std::int64_t tokens : {1, 5, 16, 4096}) {
            for (std::int64_t top_k = 1; top_k <= std::min<std::int64_t>(experts, 8); ++top_k) {
                for (const double skew : {0.0, 0.3, 1.0, 2.5, 16.0}) {
                    const auto loads = expert_loads(experts, tokens, top_k, skew);
                    EXPECT_EQ(sum(loads), tokens * top_k);
                    EXPECT_TRUE(std::is_sorted(loads.rbegin(), loads.rend()));
                    EXPECT_LE(loads.front(), tokens);  // a token visits an expert once
                    EXPECT_GE(loads.back(), 0);
                }
            }
        }
    }
}

TEST(ExpertLoads, are_equal_up_to_one_without_skew) {
    const auto loads = expert_loads(7, 100, 3, 0);
    EXPECT_LE(loads.front() - loads.back(), 1);
    EXPECT_EQ(expert_loads(8, 64, 2, 0), std::vector<std::int64_t>(8, 16));
}

TEST(ExpertLoads, follow_zipfs_law) {
    for (const double skew : {0.5, 1.0}) {
        const auto loads = expert_loads(64, 1 << 16, 2, skew);
        double harmonic = 0;
        for (int i = 1; i <= 64; ++i) {
            harmonic += std::pow(i, -skew);
        }
        for (std::size_t i = 0; i < loads.size(); ++i) {
            const double share = 2 * 65536 * std::pow(static_cast<double>(i + 1), -skew) / harmonic;
            ASSERT_NEAR(static_cast<double>(loads[i]), share, 1) << i;
        }
    }
}

TEST(ExpertLoads, give_what_is_above_every_token_to_the_others_in_proportion) {
    // Zipf with exponent 2 over 4 experts: the first would get 2 * 0.70 of the tokens.
    const auto loads = expert_loads(4, 36'000, 2, 2);
    EXPECT_EQ(loads[0], 36'000);
    const double others = 1.0 / 4 + 1.0 / 9 + 1.0 / 16;
    for (std::size_t i = 1; i < 4; ++i) {
        const auto rank = static_cast<double>(i + 1);
        EXPECT_NEAR(static_cast<double>(loads[i]), 36'000 / (rank * rank) / others, 1);
    }
}

TEST(ExpertCapacity, is_the_equal_share_times_the_factor) {
    EXPECT_EQ(expert_capacity(8, 4096, 2, 1), 1024);
    EXPECT_EQ(expert_capacity(8, 4096, 2, 1.25), 1280);
    EXPECT_EQ(expert_capacity(8, 10, 2, 1), 3);  // 2.5
    EXPECT_EQ(expert_capacity(8, 4096, 2, 100), 4096);
}

TEST(ExpertRoutes, deal_popular_experts_out_among_the_members) {
    TrainingSetup setup;
    setup.expert_skew = 1;
    const Model model = small_mixtral(1);
    const auto loads = expert_loads(8, 640, 2, 1);
    const ExpertRoutes routes(model, {.ep = 4, .dp = 4}, setup, 640);
    for (std::int64_t member = 0; member < 4; ++member) {
        EXPECT_EQ(routes.rows(member, 0), loads[static_cast<std::size_t>(member)]);
        EXPECT_EQ(routes.rows(member, 1), loads[static_cast<std::size_t>(member + 4)]);
        EXPECT_EQ(routes.received(member), 4 * routes.rows_to(member));
    }
    EXPECT_EQ(routes.sent(), 640 * 2);
    EXPECT_FALSE(routes.equal_parts());
    setup.expert_skew = 0;
    EXPECT_TRUE(ExpertRoutes(model, {.ep = 4, .dp = 4}, setup, 640).equal_parts());
    setup.capacity_factor = 1.5;
    const ExpertRoutes padded(model, {.ep = 4, .dp = 4}, setup, 640);
    EXPECT_EQ(padded.sent(), 8 * 240);
    EXPECT_TRUE(padded.equal_parts());
}

TEST(Experts, programs_verify_in_every_layout) {
    for (const Case& at : expert_grid(8)) {
        ASSERT_EQ(verify(build_all(at.model, at.layout, at.setup)), std::vector<std::string>{})
            << text_of(at);
    }
}

TEST(Experts, counted_volumes_equal_the_closed_forms) {
    for (const Case& at : expert_grid(8)) {
        for (std::int64_t rank = 0; rank < at.layout.ranks(); ++rank) {
            const StepProgram program = build_step(at.model, at.layout, at.setup, WorldRank{rank});
            const std::int64_t position = group_of(at.layout, GroupKind::ep, WorldRank{rank})
                                              .rank_of(WorldRank{rank})
                                              .value();
            ASSERT_EQ(counted_volumes(program),
                      closed_form_volumes(at.model, at.layout, at.setup, program.stage, position))
                << text_of(at) << " rank " << rank;
        }
    }
}

TEST(Experts, neither_race_nor_read_what_nothing_wrote) {
    for (const Case& at : expert_grid(4)) {
        if (at.setup.capacity_factor == 1.25 || at.setup.expert_skew == 0.5) {
            continue;  // the same operations with other numbers of rows
        }
        for (std::int64_t rank = 0; rank < at.layout.ranks(); rank += at.layout.tp) {
            const StepProgram program = build_step(at.model, at.layout, at.setup, WorldRank{rank});
            ASSERT_EQ(races_in(program), std::vector<std::string>{}) << text_of(at);
            ASSERT_EQ(stale_reads_in(program), std::vector<std::string>{}) << text_of(at);
            ASSERT_EQ(overlaps_in(program), std::vector<std::string>{}) << text_of(at);
        }
    }
}

TEST(Experts, are_printed_and_read_back) {
    const Layout layout{.tp = 2, .ep = 2, .dp = 4};
    TrainingSetup setup = setup_of(layout, 1);
    setup.expert_skew = 1;
    const StepProgram program = build_step(small_deepseek(2), layout, setup, WorldRank{3});
    EXPECT_EQ(parse_program(print(program)), program);
}

/// Over all ranks, every parameter is held as often as its kind is copied.
TEST(Experts, parameters_are_the_models) {
    for (const Layout& layout : expert_layouts(8)) {
        for (const Model& model : {small_mixtral(layout.pp), small_deepseek(2 * layout.pp)}) {
            const TrainingSetup setup = setup_of(layout, 1);
            std::int64_t held = 0;
            for (std::int64_t rank = 0; rank < layout.ranks(); ++rank) {
                held += build_step(model, layout, setup, WorldRank{rank}).extents.parameter;
            }
            const std::int64_t expert_layers = model.layers - model.dense_layers;
            const std::int64_t experts = expert_layers * model.experts * expert_parameters(model);
            const std::int64_t whole =  // on every tensor rank: norms, routers
                model.layers * 2 * model.hidden + model.hidden +
                expert_layers * model.experts * model.hidden;
            const std::int64_t padding =
                2 * (padded_vocab(model, layout) - model.vocab) * model.hidden;
            EXPECT_EQ(
                held,
                layout.dp / layout.ep * experts +
                    layout.dp * (parameters(model) - experts + padding + (layout.tp - 1) * whole))
                << to_string(layout);
        }
    }
}

/// By hand: 16 tokens of 96 columns in bf16 visit 2 of 8 experts, 2 micro-batches of 1 layer.
TEST(Experts, volumes_are_what_a_pencil_says) {
    const Layout layout{.ep = 2, .dp = 4};
    TrainingSetup setup = setup_of(layout, 2, 2);
    setup.precision = Precision::bf16;
    const auto volumes = [&](std::int64_t position) {
        return closed_form_volumes(small_mixtral(1), layout, setup, Stage{0}, position);
    };
    const Bytes way{16 * 2 * 96 * 2};
    const Volume exchange{.group = GroupKind::ep,
                          .op = "all_to_all",
                          .count = 8,
                          .payload = 8 * way,
                          .on_the_wire = 4 * way};
    EXPECT_EQ(volumes(0)[1], exchange);
    const std::int64_t experts = 4 * 3 * 96 * 32;
    const Volume gradients{.group = GroupKind::expert_dp,
                           .op = "all_reduce",
                           .count = 1,
                           .payload = Bytes{4 * experts},
                           .on_the_wire = Bytes{4 * experts}};
    EXPECT_EQ(volumes(1)[3], gradients);
    // Zipf: 1/1 + 1/3 + 1/5 + 1/7 to one rank, the rest to the other. Both ranks send theirs there.
    setup.expert_skew = 1;
    const auto loads = expert_loads(8, 16, 2, 1);
    const std::int64_t to_first = loads[0] + loads[2] + loads[4] + loads[6];
    const std::int64_t to_second = 32 - to_first;
    const Bytes row{96 * 2};
    EXPECT_EQ(volumes(0)[1].payload, 8 * 2 * to_first * row);
    EXPECT_EQ(volumes(1)[1].payload, 8 * 32 * row);
    EXPECT_EQ(volumes(0)[1].on_the_wire, 4 * (to_second + to_first) * row);
    EXPECT_EQ(volumes(1)[1].on_the_wire, 4 * (to_second + to_first) * row);
}

/// By hand: each of 2 tensor ranks sends 8 of 16 tokens to 2 of 8 experts each; the 16 rows that
/// come to a rank are gathered from both, and scattered, as often as they travel.
TEST(Experts, rows_of_cut_tokens_are_what_a_pencil_says) {
    const Layout layout{.tp = 2, .ep = 2, .dp = 2};
    TrainingSetup setup = setup_of(layout, 2, 2);
    setup.precision = Precision::bf16;
    const auto volumes_of = [&](const Model& model) {
        return closed_form_volumes(model, layout, setup, Stage{0});
    };
    const auto at = [](const std::vector<Volume>& volumes, GroupKind group, std::string_view op) {
        const auto found = std::find_if(volumes.begin(), volumes.end(), [&](const Volume& volume) {
            return volume.group == group && volume.op == op;
        });
        return found == volumes.end() ? Volume{} : *found;
    };
    setup.sequence_parallel = SequenceParallel::on;
    const std::vector<Volume> mixtral = volumes_of(small_mixtral(1));
    const Bytes row{96 * 2};
    const Volume exchanges = at(mixtral, GroupKind::ep, "all_to_all");
    EXPECT_EQ(exchanges.count, 8);
    EXPECT_EQ(exchanges.payload, 8 * 16 * row);
    // Attention scatters twice, each end of the model once per micro-batch.
    const Volume scattered = at(mixtral, GroupKind::tp, "reduce_scatter");
    EXPECT_EQ(scattered.count, 2 * (2 + 1 + 1 + 2));
    EXPECT_EQ(scattered.payload, 2 * (4 * 16 + 2 * 32) * row);
    const Volume gathered = at(mixtral, GroupKind::tp, "all_gather");
    EXPECT_EQ(gathered.count, 2 * (3 + 1 + 2 + 2));
    EXPECT_EQ(gathered.payload, 2 * (6 * 16 + 2 * 32) * row);
    // Norms and the router; statistics of 16 tokens' logits in 2 micro-batches.
    const Volume reduced = at(mixtral, GroupKind::tp, "all_reduce");
    EXPECT_EQ(reduced.payload, Bytes{4 * (3 * 96 + 8 * 96) + 2 * 3 * 4 * 16});
}

TEST(Experts, skew_shows_in_unequal_parts_and_conserves_tokens) {
    const Layout layout{.ep = 4, .dp = 4};
    TrainingSetup setup = setup_of(layout, 1, 4);
    setup.expert_skew = 1;
    const auto programs = build_all(small_mixtral(1), layout, setup);
    std::int64_t sent = 0;
    std::int64_t received = 0;
    for (const StepProgram& program : programs) {
        std::vector<const Collective*> exchanges;
        for (const Block& block : program.blocks) {
            for (const BlockOp& op : block.ops) {
                const auto* communication = std::get_if<CommOp>(&op.op);
                const auto* exchange =
                    communication == nullptr ? nullptr : std::get_if<Collective>(communication);
                if (exchange != nullptr && exchange->kind == CollectiveKind::all_to_all) {
                    exchanges.push_back(exchange);
                }
            }
        }
        ASSERT_EQ(exchanges.size(), 4U);  // there and back, forward and backward
        EXPECT_GT(exchanges[0]->sent[0], exchanges[0]->sent[3]);
        EXPECT_EQ(exchanges[0]->sent, exchanges[1]->received);
        EXPECT_EQ(exchanges[0]->received, exchanges[1]->sent);
        EXPECT_EQ(exchanges[2]->sent, exchanges[0]->sent);
        EXPECT_EQ(exchanges[3]->sent, exchanges[1]->sent);
        sent += sum(exchanges[0]->sent);
        received += sum(exchanges[0]->received);
    }
    EXPECT_EQ(sent, 4 * 32 * 2 * 96);
    EXPECT_EQ(received, sent);
}

/// Backward of attention computes the scores again, which model FLOPs do not count; without
/// sequence parallelism every tensor rank runs the routers.
void expect_work_of_the_model(const Model& model,
                              const Layout& layout,
                              const TrainingSetup& setup) {
    Flops executed;
    for (const StepProgram& program : build_all(model, layout, setup)) {
        executed +=
            executed_flops(program, Phase::forward) + executed_flops(program, Phase::backward);
    }
    const auto tokens = static_cast<double>(setup.global_batch * model.seq);
    const double scores = tokens * static_cast<double>(model.layers) * 2 *
                          static_cast<double>(model.seq * model.attention_width());
    const bool cut = setup.sequence_parallel == SequenceParallel::on;
    const double routers =
        3 * static_cast<double>(cut ? 0 : layout.tp - 1) * tokens * 2 *
        static_cast<double>(model.hidden * model.experts * (model.layers - model.dense_layers));
    const double expected = tokens * model_flops_per_token(model, CausalAttention::full).value();
    EXPECT_NEAR(executed.value(), expected + scores + routers, 1e-9 * expected)
        << to_string(layout) << " cut " << cut;
}

/// Ranks compute unequally, all together what the model says; padding is computed on too.
TEST(Experts, work_of_all_ranks_is_the_models) {
    for (const Layout& layout : expert_layouts(8)) {
        for (const double skew : {0.0, 0.5}) {
            TrainingSetup setup = setup_of(layout, 2, 2);
            setup.expert_skew = skew;
            Model model = small_deepseek(2 * layout.pp);
            model.vocab = 512;
            expect_work_of_the_model(model, layout, setup);
            setup.sequence_parallel = SequenceParallel::on;
            if (problems_of(model, layout, setup).empty()) {
                expect_work_of_the_model(model, layout, setup);
            }
        }
    }
}

/// Compute operations between each exchange of a block and the first that waits for it.
std::vector<std::size_t> beside_exchanges(const StepProgram& program, std::string_view name) {
    std::vector<std::size_t> counts;
    const auto block = std::find_if(program.blocks.rbegin(),
                                    program.blocks.rend(),
                                    [&](const Block& b) { return b.name == name; });
    for (std::uint32_t i = 0; i < block->ops.size(); ++i) {
        if (block->ops[i].lane != Lane::ep) {
            continue;
        }
        const auto waits = [i](const BlockOp& op) {
            return std::find(op.after.begin(), op.after.end(), i) != op.after.end();
        };
        const auto next = block->ops.begin() + i + 1;
        counts.push_back(
            static_cast<std::size_t>(std::find_if(next, block->ops.end(), waits) - next));
    }
    return counts;
}

TEST(Experts, compute_what_they_can_while_tokens_travel) {
    const Layout layout{.ep = 2, .dp = 2};
    const StepProgram program =
        build_step(small_deepseek(2), layout, setup_of(layout, 1), WorldRank{0});
    // Forward: the shared expert beside dispatch. Backward: router and shared expert beside the
    // first exchange, the up projections' weight gradients of 4 experts beside the second.
    EXPECT_EQ(beside_exchanges(program, "layer_forward"), (std::vector<std::size_t>{3, 0}));
    EXPECT_EQ(beside_exchanges(program, "layer_backward"), (std::vector<std::size_t>{8, 4}));
}

/// The same and traffic between tensor ranks; nothing of it waits for the tokens.
TEST(Experts, of_cut_tokens_compute_what_they_can_while_tokens_travel) {
    const Layout layout{.tp = 2, .ep = 2, .dp = 2};
    TrainingSetup setup = setup_of(layout, 1);
    setup.sequence_parallel = SequenceParallel::on;
    const StepProgram program = build_step(small_deepseek(2), layout, setup, WorldRank{0});
    // Forward: the shared expert, its gathering and scattering. Backward: router and shared expert
    // with two gatherings and a scattering; weight gradients of both projections of 4 experts.
    EXPECT_EQ(beside_exchanges(program, "layer_forward"), (std::vector<std::size_t>{5, 0}));
    EXPECT_EQ(beside_exchanges(program, "layer_backward"), (std::vector<std::size_t>{11, 8}));
}

TEST(Experts, share_one_layers_memory_where_it_is_aliased) {
    const Layout layout{.ep = 2, .dp = 4};
    TrainingSetup setup = setup_of(layout, 2);
    setup.bucket = Bytes{50'000};
    const auto extent = [&](MemoryMode memory, std::int64_t layers) {
        setup.memory = memory;
        return build_step(small_deepseek(layers), layout, setup, WorldRank{0}).extents;
    };
    EXPECT_EQ(extent(MemoryMode::aliased, 3).parameter, extent(MemoryMode::aliased, 9).parameter);
    EXPECT_EQ(extent(MemoryMode::aliased, 2).parameter, extent(MemoryMode::faithful, 2).parameter);
    setup.memory = MemoryMode::aliased;
    const auto programs = build_all(small_deepseek(5), layout, setup);
    EXPECT_EQ(verify(programs), std::vector<std::string>{});
    EXPECT_EQ(races_in(programs[1]), std::vector<std::string>{});
    EXPECT_EQ(counted_volumes(programs[0]),
              closed_form_volumes(small_deepseek(5), layout, setup, Stage{0}));
}

TEST(Experts, of_one_rank_are_sharded_with_all_else) {
    for (const Zero zero : {Zero::optimizer, Zero::gradients, Zero::parameters}) {
        for (const Layout& layout : {Layout{.dp = 4}, Layout{.tp = 2, .dp = 2, .pp = 2}}) {
            TrainingSetup setup = setup_of(layout, 2);
            setup.zero = zero;
            const Model model = small_deepseek(2 * layout.pp);
            const auto programs = build_all(model, layout, setup);
            EXPECT_EQ(verify(programs), std::vector<std::string>{});
            for (const StepProgram& program : programs) {
                EXPECT_EQ(counted_volumes(program),
                          closed_form_volumes(model, layout, setup, program.stage));
            }
            EXPECT_EQ(stale_reads_in(programs[0]), std::vector<std::string>{});
            EXPECT_EQ(races_in(programs[0]), std::vector<std::string>{});
        }
    }
}

struct Wrong {
    const char* key = "";
    Model model = small_mixtral(2);
    Layout layout = {.ep = 2, .dp = 4};
    TrainingSetup setup = {.micro_batch = 1, .global_batch = 8};
};

TEST(ExpertProblems, name_the_key_the_reason_and_a_way_out) {
    const auto expect = [](const char* key, const auto& change) {
        Wrong wrong;
        change(wrong);
        const auto problems = problems_of(wrong.model, wrong.layout, wrong.setup);
        ASSERT_FALSE(problems.empty()) << key;
        EXPECT_TRUE(problems.front().starts_with(key)) << problems.front();
        EXPECT_NE(problems.front().find(" ("), std::string::npos) << problems.front();
        EXPECT_NE(problems.front().find(") "), std::string::npos) << problems.front();
    };
    EXPECT_TRUE(problems_of(Wrong{}.model, Wrong{}.layout, Wrong{}.setup).empty());
    expect("ep: 2 is given for", [](Wrong& w) { w.model = small_llama(2); });
    expect("ep: 3 does not divide dp", [](Wrong& w) { w.layout.ep = 3; });
    expect("ep: 4 does not divide experts", [](Wrong& w) {
        w.layout.ep = 4;
        w.model.experts = 6;
    });
    expect("tp: 4 does not divide expert_ffn", [](Wrong& w) {
        w.layout.tp = 4;
        w.model.expert_ffn = 30;
    });
    expect("capacity_factor: -1", [](Wrong& w) { w.setup.capacity_factor = -1; });
    expect("capacity_factor: nan", [](Wrong& w) { w.setup.capacity_factor = std::nan(""); });
    expect("expert_skew: 17", [](Wrong& w) { w.setup.expert_skew = 17; });
    expect("expert_skew: changes nothing", [](Wrong& w) {
        w.setup.expert_skew = 1;
        w.setup.capacity_factor = 1;
    });
    expect("expert_skew: 16 leaves rank", [](Wrong& w) {
        w.layout.ep = 4;
        w.setup.expert_skew = 16;
    });
    expect("expert_skew: 2 leaves rank 3", [](Wrong& w) {  // of 2 tokens
        w.layout = {.tp = 4, .ep = 4, .dp = 4};
        w.setup.sequence_parallel = SequenceParallel::on;
        w.setup.expert_skew = 2;
    });
    expect("experts: 8 does not go with schedule zero-bubble",
           [](Wrong& w) { w.setup.schedule = Schedule::zero_bubble; });
    expect("precision: fp8", [](Wrong& w) { w.setup.precision = Precision::fp8; });
    expect("shard: 2 does not go with ep 2", [](Wrong& w) {
        w.setup.zero = Zero::optimizer;
        w.layout.shard = 2;
    });
    expect("expert_skew: 1 is given for", [](Wrong& w) {
        w.model = small_llama(2);
        w.layout.ep = 1;
        w.setup.expert_skew = 1;
    });
    expect("micro_batch: ", [](Wrong& w) {
        w.model.seq = 1 << 27;
        w.model.top_k = 8;
        w.setup.micro_batch = 2;
    });
}

}  // namespace
}  // namespace traindyno
