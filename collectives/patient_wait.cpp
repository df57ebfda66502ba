// SPDX-License-Identifier: Apache-2.0
#include "collectives/patient_wait.hpp"

#include <algorithm>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "emulator/base/error.hpp"

namespace traindyno {

namespace {

/// "rank 3 is lost or still busy"
std::string culprits(const std::vector<GroupRank>& peers) {
    if (peers.empty()) {
        return "a rank is lost or still busy";
    }
    std::string list;
    for (const GroupRank peer : peers) {
        list += fmt::format("{}{}", list.empty() ? "" : ", ", peer.value());
    }
    return fmt::format("nothing came from rank{} {} of the group, lost or still busy",
                       peers.size() > 1 ? "s" : "",
                       list);
}

}  // namespace

void wait_patiently(Pending& pending, const Patience& patience) {
    SimTime pause = patience.first_pause;
    const auto start = std::chrono::steady_clock::now();
    while (!pending.done()) {
        if (std::chrono::steady_clock::now() - start > patience.timeout) {
            const std::string missing = pending.waits_for();
            throw HangError(fmt::format(
                "a communication did not complete within {:.1f} s ({}) look at the other "
                "ranks' output",
                to_seconds(patience.timeout),
                missing.empty() ? culprits(pending.waiting_for())
                                : missing + " is lost or still busy"));
        }
        std::this_thread::sleep_for(pause);
        pause = std::min(2 * pause, patience.longest_pause);
    }
}

}  // namespace traindyno
