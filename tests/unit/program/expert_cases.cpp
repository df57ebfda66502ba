// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/program/expert_cases.hpp"

#include <utility>

#include "tests/support/sanitized_sample.hpp"

namespace traindyno {

namespace {

struct Load {
    double skew = 0;
    double capacity_factor = 0;
};

constexpr std::array loads{Load{},
                           Load{.skew = 0.5},
                           Load{.skew = 1},
                           Load{.capacity_factor = 0.75},
                           Load{.capacity_factor = 1.25}};

void add_cases(const Layout& layout, SequenceParallel tokens, std::vector<Case>& cases) {
    const bool cut = tokens == SequenceParallel::on;
    for (const Load& load : loads) {
        for (const Recompute recompute : {Recompute::none, Recompute::selective, Recompute::full}) {
            for (const Overlap overlap : {Overlap::on, Overlap::off}) {
                TrainingSetup setup = setup_of(layout, 2, 2);
                setup.sequence_parallel = tokens;
                setup.overlap_tp = cut ? overlap : Overlap::off;
                setup.bucket = Bytes{50'000};
                setup.recompute = recompute;
                setup.overlap_gradients = overlap;
                setup.overlap_p2p = overlap;
                setup.expert_skew = load.skew;
                setup.capacity_factor = load.capacity_factor;
                for (const Model& model :
                     {small_mixtral(layout.pp), small_deepseek(2 * layout.pp)}) {
                    if (!cut || problems_of(model, layout, setup).empty()) {
                        cases.push_back({.model = model, .layout = layout, .setup = setup});
                    }
                }
            }
        }
    }
}

}  // namespace

std::vector<Layout> expert_layouts(std::int64_t most_ranks) {
    std::vector<Layout> list;
    for (const std::int64_t tp : {1, 2, 4}) {
        for (std::int64_t pp = 1; tp * pp <= most_ranks; ++pp) {
            for (std::int64_t dp = 1; tp * pp * dp <= most_ranks; ++dp) {
                for (const std::int64_t ep : {1, 2, 4, 8}) {
                    if (dp % ep == 0) {
                        list.push_back({.tp = tp, .ep = ep, .dp = dp, .pp = pp});
                    }
                }
            }
        }
    }
    return list;
}

std::vector<Case> expert_grid(std::int64_t most_ranks) {
    std::vector<Case> cases;
    for (const Layout& layout : expert_layouts(most_ranks)) {
        add_cases(layout, SequenceParallel::off, cases);
        if (layout.tp > 1) {
            add_cases(layout, SequenceParallel::on, cases);
        }
    }
    return sanitized_sample(std::move(cases));
}

}  // namespace traindyno
