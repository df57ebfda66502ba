// SPDX-License-Identifier: Apache-2.0
// The folds of a plan, to be compared with those expected.
#pragma once

#include <ostream>
#include <vector>

#include "emulator/device/kernel_plan/fusion.hpp"

namespace traindyno {

using Ops = std::vector<std::uint32_t>;

struct Folded {
    Fold fold = Fold::none;
    Ops ops;

    friend bool operator==(const Folded&, const Folded&) = default;

    friend void PrintTo(const Folded& value, std::ostream* out) {
        *out << to_string(value.fold);
        for (const std::uint32_t op : value.ops) {
            *out << ' ' << op;
        }
    }
};

inline bool everything(const FoldCandidate& /*candidate*/) {
    return true;
}

inline std::vector<Folded> folds_of(const BlockPlan& plan) {
    std::vector<Folded> folds;
    for (const KernelStep& step : plan.steps) {
        if (step.fold != Fold::none) {
            folds.push_back({.fold = step.fold, .ops = step.ops});
        }
    }
    return folds;
}

}  // namespace traindyno
