// SPDX-License-Identifier: Apache-2.0
// All ranks of a benchmark, carried by what its command line names.
#pragma once

#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "collectives/auto/host_carriers.hpp"
#include "collectives/mpi/session.hpp"

namespace traindyno::bench {

/// "mpi", "auto" or another name of a Carrier; all ranks are taken to share one node.
[[nodiscard]] inline std::unique_ptr<Communicator> carried_by(std::string_view name,
                                                              const MpiSession& session) {
    const std::string node = "here";
    if (name == "auto") {
        const auto root = make_auto_communicator(session.world(),
                                                 {.node = node,
                                                  .candidates = host_carriers(node),
                                                  .limits = {.largest = {largest_trial}},
                                                  .table = std::make_shared<TuningTable>()});
        return root->split(0, session.rank().value());
    }
    for (const Candidate& candidate : host_carriers(node)) {
        if (to_string(candidate.carrier) == name) {
            return candidate.make(session.world());
        }
    }
    if (name != "mpi") {
        throw std::runtime_error("no carrier is called " + std::string(name));
    }
    return session.world();
}

/// Those named on the command line, or MPI.
[[nodiscard]] inline std::vector<std::string> carriers_named(int argc, char** argv) {
    std::vector<std::string> names(argv + 1, argv + argc);
    if (names.empty()) {
        names.emplace_back("mpi");
    }
    return names;
}

}  // namespace traindyno::bench
