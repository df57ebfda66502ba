// SPDX-License-Identifier: Apache-2.0
#include "collectives/patient_wait.hpp"

#include <algorithm>
#include <chrono>
#include <string>
#include <thread>

#include <fmt/format.h>

#include "emulator/base/error.hpp"

namespace traindyno {

void wait_patiently(Pending& pending, const Patience& patience) {
    SimTime pause = patience.first_pause;
    const auto start = std::chrono::steady_clock::now();
    while (!pending.done()) {
        if (std::chrono::steady_clock::now() - start > patience.timeout) {
            const std::string missing = pending.waits_for();
            throw HangError(
                fmt::format("a communication did not complete within {:.1f} s ({} is lost or "
                            "still busy) look at the other ranks' output",
                            to_seconds(patience.timeout),
                            missing.empty() ? "a rank" : missing));
        }
        std::this_thread::sleep_for(pause);
        pause = std::min(2 * pause, patience.longest_pause);
    }
}

}  // namespace traindyno
