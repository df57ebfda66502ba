// SPDX-License-Identifier: Apache-2.0
#include "emulator/study/run_points.hpp"

#include <set>

#include <fmt/format.h>

#include "collectives/control.hpp"
#include "emulator/base/error.hpp"

namespace traindyno {

namespace {

void measure(Communicator& ranks, Backend& backend, const PointPlan& plan, const StudyRun& run) {
    const std::int64_t size = plan.layout.ranks();
    run.progress(fmt::format("measuring {} rank{}: {}, global batch {}",
                             size,
                             size == 1 ? "" : "s",
                             to_string(plan.layout),
                             plan.setup.global_batch));
    const std::set<std::string> nodes(run.hosts.begin(), run.hosts.begin() + size);
    const RankPlace place{.host = run.hosts[ranks.rank().index()],
                          .nodes = static_cast<std::int64_t>(nodes.size())};
    const auto point = measure_point(ranks,
                                     backend,
                                     {.plan = plan,
                                      .options = run.options,
                                      .place = place,
                                      .waiting = run.waiting,
                                      .progress = run.progress,
                                      .gpu = run.gpu,
                                      .note = run.note});
    if (point) {
        run.on_point(*point);
    }
}

}  // namespace

void run_points(Communicator& world, Backend& backend, const StudyRun& run) {
    const GroupRank rank = world.rank();
    for (const PointPlan& plan : run.points) {
        const bool member = rank.value() < plan.layout.ranks();
        const auto ranks = world.split(member ? 0 : 1, rank.value());
        std::string refusal;
        if (member) {
            try {
                measure(*ranks, backend, plan, run);
            } catch (const ConfigError& error) {
                refusal = error.what();
            }
        }
        // The others have been sleeping in this broadcast since the split.
        refusal = broadcast_text(world, GroupRank{0}, refusal);
        if (!refusal.empty()) {
            throw ConfigError({refusal});
        }
    }
}

}  // namespace traindyno
