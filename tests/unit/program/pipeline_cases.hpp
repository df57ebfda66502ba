// SPDX-License-Identifier: Apache-2.0
// Programs of every pipeline schedule.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "emulator/program/stage_layers.hpp"
#include "tests/support/sanitized_sample.hpp"
#include "tests/unit/program/cases.hpp"

namespace traindyno {

/// Every schedule over the given depths, micro-batch counts, up to `most_chunks` chunks, with and
/// without overlap, one or two layers per chunk.
inline std::vector<Case> pipeline_cases(const std::vector<std::int64_t>& stages,
                                        const std::vector<std::int64_t>& micro_batch_counts,
                                        std::int64_t most_chunks,
                                        const Layout& base = {}) {
    std::vector<Case> cases;
    for (const std::int64_t p : stages) {
        for (const std::int64_t m : micro_batch_counts) {
            for (std::size_t s = 0; s < enum_count<Schedule>; ++s) {
                const auto schedule = static_cast<Schedule>(s);
                const bool chunks = schedule == Schedule::interleaved && p > 1 && m % p == 0;
                for (std::int64_t v = 1; v <= (chunks ? most_chunks : 1); ++v) {
                    for (const Overlap overlap : {Overlap::on, Overlap::off}) {
                        Layout layout = base;
                        layout.pp = p;
                        Case at{.model = small_gpt(p * v * (1 + m % 2)),
                                .layout = layout,
                                .setup = setup_of(layout, m)};
                        at.setup.schedule = schedule;
                        at.setup.virtual_stages = v;
                        at.setup.overlap_p2p = overlap;
                        at.setup.bucket = Bytes{100'000};
                        cases.push_back(at);
                    }
                }
            }
        }
    }
    return sanitized_sample(std::move(cases));
}

/// `at` with layers moved from each inner part to the last.
inline Case with_uneven_stages(Case at) {
    const std::int64_t parts = at.layout.pp * at.setup.virtual_stages;
    at.setup.stage_layers.assign(static_cast<std::size_t>(parts), 1);
    at.setup.stage_layers.front() = 2;
    at.setup.stage_layers.back() += 2;
    at.model.layers = parts + 3;
    return at;
}

}  // namespace traindyno
