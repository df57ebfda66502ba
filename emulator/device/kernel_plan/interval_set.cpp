// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/kernel_plan/interval_set.hpp"

#include <algorithm>
#include <iterator>

namespace traindyno {

void IntervalSet::add(std::int64_t begin, std::int64_t end) {
    if (begin >= end) {
        return;
    }
    auto at = end_of_.upper_bound(begin);
    if (at != end_of_.begin() && std::prev(at)->second >= begin) {
        --at;
        begin = at->first;
    }
    while (at != end_of_.end() && at->first <= end) {
        end = std::max(end, at->second);
        at = end_of_.erase(at);
    }
    end_of_.emplace(begin, end);
}

void IntervalSet::remove(std::int64_t begin, std::int64_t end) {
    if (begin >= end) {
        return;
    }
    auto at = end_of_.upper_bound(begin);
    if (at != end_of_.begin()) {
        --at;
    }
    while (at != end_of_.end() && at->first < end) {
        const auto [from, to] = *at;
        if (to <= begin) {
            ++at;
            continue;
        }
        at = end_of_.erase(at);
        if (from < begin) {
            end_of_.emplace(from, begin);
        }
        if (to > end) {
            end_of_.emplace(end, to);
        }
    }
}

void IntervalSet::add(const IntervalSet& other) {
    for (const auto& [begin, end] : other.end_of_) {
        add(begin, end);
    }
}

bool IntervalSet::overlaps(std::int64_t begin, std::int64_t end) const {
    if (begin >= end) {
        return false;
    }
    const auto after = end_of_.lower_bound(end);
    return after != end_of_.begin() && std::prev(after)->second > begin;
}

bool IntervalSet::overlaps(const IntervalSet& other) const {
    return std::any_of(other.end_of_.begin(), other.end_of_.end(), [this](const auto& piece) {
        return overlaps(piece.first, piece.second);
    });
}

}  // namespace traindyno
