// SPDX-License-Identifier: Apache-2.0
// What one rank does for all: files, texts, decisions.
#pragma once

#include <string>
#include <utility>

#include "collectives/control.hpp"
#include "emulator/base/error.hpp"

namespace traindyno {

/// Runs `action` on rank 0; what it refuses, all ranks throw. Returns its text on all ranks.
template <class Action>
std::string on_first(Communicator& world, Action&& action) {
    constexpr char ok = '+';
    constexpr char refused = '-';
    std::string answer;
    if (world.rank() == GroupRank{0}) {
        try {
            answer = ok + std::forward<Action>(action)();
        } catch (const ConfigError& error) {
            answer = refused + std::string(error.what());
        }
    }
    answer = broadcast_text(world, GroupRank{0}, answer);
    if (answer.front() == refused) {
        throw ConfigError({answer.substr(1)});
    }
    return answer.substr(1);
}

}  // namespace traindyno
