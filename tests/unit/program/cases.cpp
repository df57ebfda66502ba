// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/program/cases.hpp"

#include <utility>

#include "tests/support/sanitized_sample.hpp"

namespace traindyno {

namespace {

std::vector<Layout> layouts(std::int64_t most_ranks) {
    std::vector<Layout> list;
    for (std::int64_t tp = 1; tp <= most_ranks; tp *= 2) {
        for (std::int64_t pp = 1; tp * pp <= most_ranks; ++pp) {
            for (std::int64_t dp = 1; tp * pp * dp <= most_ranks; ++dp) {
                list.push_back({.tp = tp, .dp = dp, .pp = pp});
            }
        }
    }
    return list;
}

/// Settings that make a difference in `layout`.
std::vector<TrainingSetup> variants(const Layout& layout, const TrainingSetup& base) {
    std::vector<TrainingSetup> list;
    for (const Recompute recompute : {Recompute::none, Recompute::selective, Recompute::full}) {
        for (const Schedule schedule : {Schedule::gpipe, Schedule::one_f_one_b}) {
            for (const Overlap gradients : {Overlap::on, Overlap::off}) {
                for (const Overlap p2p : {Overlap::on, Overlap::off}) {
                    if ((layout.dp == 1 && gradients == Overlap::off) ||
                        (layout.pp == 1 && p2p == Overlap::off)) {
                        continue;
                    }
                    TrainingSetup setup = base;
                    setup.recompute = recompute;
                    setup.schedule = schedule;
                    setup.overlap_gradients = gradients;
                    setup.overlap_p2p = p2p;
                    list.push_back(setup);
                }
            }
        }
    }
    return list;
}

/// The ways in which tensor-parallel ranks can share `tokens` tokens of each micro-batch.
std::vector<TrainingSetup> sharings(const Layout& layout,
                                    const TrainingSetup& base,
                                    std::int64_t tokens) {
    std::vector<TrainingSetup> list{base};
    if (layout.tp == 1 || base.overlap_gradients == Overlap::off) {
        return list;
    }
    list.push_back(base);
    list.back().sequence_parallel = SequenceParallel::on;
    if (tokens % (layout.tp * layout.tp) == 0) {
        list.push_back(list.back());
        list.back().overlap_tp = Overlap::on;
    }
    return list;
}

void add_cases(const Model& model,
               const Layout& layout,
               const TrainingSetup& base,
               std::vector<Case>& cases) {
    for (const TrainingSetup& setup : sharings(layout, base, base.micro_batch * model.seq)) {
        cases.push_back({.model = model, .layout = layout, .setup = setup});
    }
}

/// Settings of sharding; what there are few reasons to combine takes turns.
std::vector<TrainingSetup> sharded_variants(const TrainingSetup& base) {
    std::vector<TrainingSetup> list;
    for (const Zero zero : {Zero::none, Zero::optimizer, Zero::gradients, Zero::parameters}) {
        for (const GradientReduction reduction :
             {GradientReduction::last_micro_batch, GradientReduction::every_micro_batch}) {
            for (const Overlap gradients : {Overlap::on, Overlap::off}) {
                for (const Overlap parameters : {Overlap::on, Overlap::off}) {
                    const auto turn = static_cast<std::int64_t>(list.size());
                    TrainingSetup setup = base;
                    setup.zero = zero;
                    setup.gradient_reduction = reduction;
                    setup.overlap_gradients = gradients;
                    setup.overlap_parameters = parameters;
                    setup.prefetch = turn % 3;
                    setup.schedule = turn % 5 < 3 ? Schedule::one_f_one_b : Schedule::gpipe;
                    if (turn % 3 == 1) {
                        setup.precision = Precision::bf16;
                        setup.gradient_type = turn % 2 == 0 ? DType::bf16 : DType::fp32;
                    }
                    list.push_back(setup);
                    setup.memory = MemoryMode::aliased;
                    list.push_back(setup);
                }
            }
        }
    }
    return list;
}

}  // namespace

std::vector<Case> sharded_grid(std::int64_t most_ranks,
                               const std::vector<std::int64_t>& micro_batch_counts) {
    std::vector<Case> cases;
    const auto add = [&](Case at) {
        if (at.layout.tp > 1 && cases.size() % 2 == 1) {
            at.setup.sequence_parallel = SequenceParallel::on;
        }
        if (problems_of(at.model, at.layout, at.setup).empty()) {
            cases.push_back(at);
        }
    };
    for (Layout layout : layouts(most_ranks)) {
        for (const std::int64_t count : micro_batch_counts) {
            TrainingSetup base = setup_of(layout, count);
            base.bucket = Bytes{100'000};
            const std::vector<TrainingSetup> setups =
                layout.dp == 1 ? std::vector<TrainingSetup>{} : sharded_variants(base);
            for (TrainingSetup setup : setups) {
                if (setup.schedule == Schedule::gpipe && layout.pp == count) {
                    setup.schedule = Schedule::interleaved;
                    setup.virtual_stages = 2;
                }
                for (layout.shard = 0; layout.shard < layout.dp; ++layout.shard) {
                    add({.model = small_gpt(4 * layout.pp), .layout = layout, .setup = setup});
                    if (layout.tp <= 4) {
                        add({.model = small_llama(layout.pp), .layout = layout, .setup = setup});
                    }
                }
                layout.shard = 0;
            }
        }
    }
    return sanitized_sample(std::move(cases));
}

std::vector<Case> grid(std::int64_t most_ranks,
                       const std::vector<std::int64_t>& micro_batch_counts) {
    std::vector<Case> cases;
    for (const Layout& layout : layouts(most_ranks)) {
        for (const std::int64_t count : micro_batch_counts) {
            TrainingSetup base = setup_of(layout, count);
            base.bucket = Bytes{100'000};  // several buckets in each of these models
            for (const TrainingSetup& setup : variants(layout, base)) {
                add_cases(small_gpt(2 * layout.pp), layout, setup, cases);
                if (layout.tp <= 4) {  // key/value heads
                    add_cases(small_llama(layout.pp), layout, setup, cases);
                }
            }
        }
    }
    return sanitized_sample(std::move(cases));
}

}  // namespace traindyno
