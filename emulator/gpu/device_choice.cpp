// SPDX-License-Identifier: Apache-2.0
#include "emulator/gpu/device_choice.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "emulator/base/error.hpp"
#include "emulator/device/cpu/binding.hpp"

namespace traindyno {

namespace {

using Cores = std::vector<int>;

/// The allowed ones of `near`, in the order of `allowed`.
Cores allowed_of(const Cores& near, const Cores& allowed) {
    Cores both;
    std::copy_if(allowed.begin(), allowed.end(), std::back_inserter(both), [&](int core) {
        return std::find(near.begin(), near.end(), core) != near.end();
    });
    return both;
}

/// How many ranks share each neighbourhood; empty when the neighbourhoods do not give every rank
/// its own or an equal part.
std::map<Cores, std::int64_t> neighbourhoods_of(const std::vector<Cores>& near,
                                                const Cores& allowed) {
    std::map<Cores, std::int64_t> sharers;
    for (const Cores& cores : near) {
        sharers[allowed_of(cores, allowed)] += 1;
    }
    std::set<int> seen;
    for (const auto& [cores, ranks] : sharers) {
        for (const int core : cores) {
            if (!seen.insert(core).second) {
                return {};
            }
        }
        if (static_cast<std::int64_t>(cores.size()) < ranks) {
            return {};
        }
    }
    return sharers;
}

}  // namespace

int device_for(std::int64_t local_rank, int visible) {
    TD_EXPECT(local_rank >= 0 && visible >= 1);
    return static_cast<int>(local_rank % visible);
}

std::vector<int> near_share(const std::vector<std::vector<int>>& near,
                            const std::vector<int>& allowed,
                            std::int64_t local_rank) {
    const auto ranks = static_cast<std::int64_t>(near.size());
    TD_EXPECT(local_rank >= 0 && local_rank < ranks);
    const std::map<Cores, std::int64_t> sharers = neighbourhoods_of(near, allowed);
    if (sharers.empty()) {
        return split_cores(allowed, local_rank, ranks);
    }
    const auto mine = near.begin() + local_rank;
    const Cores cores = allowed_of(*mine, allowed);
    const auto before = std::count_if(near.begin(), mine, [&](const Cores& other) {
        return allowed_of(other, allowed) == cores;
    });
    return split_cores(cores, before, sharers.at(cores));
}

}  // namespace traindyno
