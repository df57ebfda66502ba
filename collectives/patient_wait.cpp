// SPDX-License-Identifier: Apache-2.0
#include "collectives/patient_wait.hpp"

#include <algorithm>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <sched.h>

namespace traindyno {

std::string members_text(const std::vector<GroupRank>& members) {
    if (members.empty()) {
        return "a rank";
    }
    std::string list;
    for (const GroupRank member : members) {
        list += fmt::format("{}{}", list.empty() ? "" : ", ", member.value());
    }
    return fmt::format("rank{} {}", members.size() > 1 ? "s" : "", list);
}

void wait_patiently(Pending& pending, const Patience& patience) {
    SimTime pause = patience.first_pause;
    const auto start = std::chrono::steady_clock::now();
    while (!pending.done()) {
        if (std::chrono::steady_clock::now() - start > patience.timeout) {
            throw hang_of("a communication", patience.timeout, pending);
        }
        std::this_thread::sleep_for(pause);
        pause = std::min(2 * pause, patience.longest_pause);
    }
}

void wait_awake(Pending& pending) {
    while (!pending.done()) {
        sched_yield();
    }
}

HangError hang_of(std::string_view operation, SimTime timeout, const Pending& pending) {
    return HangError(fmt::format(
        "{} did not complete within {:.1f} s ({} of the group is lost or still busy) look at the "
        "other ranks' output",
        operation,
        to_seconds(timeout),
        members_text(pending.waiting_for())));
}

}  // namespace traindyno
