// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "emulator/cli/workload_request.hpp"
#include "emulator/program/stage_layers.hpp"

namespace traindyno {

void read_stages(const FlagReader& read, Workload& workload, Problems& problems) {
    TrainingSetup& setup = workload.setup;
    setup.virtual_stages =
        read.count("virtual-stages").value_or(setup.schedule == Schedule::interleaved ? 2 : 1);
    setup.stage_layers = read.counts("stage-layers").value_or(setup.stage_layers);
    const EdgeLayers edges{.first = read.count("first-stage-layers"),
                           .last = read.count("last-stage-layers")};
    if (!edges.first && !edges.last) {
        return;
    }
    const std::string origin =
        read.origin(edges.first ? "first-stage-layers" : "last-stage-layers");
    if (!setup.stage_layers.empty() || setup.virtual_stages > 1) {
        problems.add(fmt::format(
            "{}: does not go with --stage-layers or several chunks per stage (they say where every "
            "layer is) give --stage-layers alone",
            origin));
        return;
    }
    const auto split = split_layers(workload.model.layers, workload.pp, edges);
    if (!split) {
        problems.add(fmt::format(
            "{}: the other stages cannot share the rest of {} layers equally (pp is {}) choose "
            "other counts, or give --stage-layers",
            origin,
            workload.model.layers,
            workload.pp));
        return;
    }
    setup.stage_layers = *split;
}

}  // namespace traindyno
