// SPDX-License-Identifier: Apache-2.0
// How routers rank experts: the same on every device.
#pragma once

#include <cstdint>

#include "emulator/base/host_device.hpp"

namespace traindyno {

/// An expert and its logit; none has index -1.
struct RankedLogit {
    float logit = 0;
    std::int32_t expert = -1;
};

/// Whether `a` comes before `b` among the logits of a token: larger first, then the lower index.
/// A logit that is not a number comes last.
[[nodiscard]] TD_HOST_DEVICE bool ranks_before(const RankedLogit& a, const RankedLogit& b) {
    if (a.expert < 0 || b.expert < 0) {
        return b.expert < 0 && a.expert >= 0;
    }
    const bool a_counts = a.logit == a.logit;
    const bool b_counts = b.logit == b.logit;
    if (a_counts != b_counts) {
        return a_counts;
    }
    if (a_counts && a.logit != b.logit) {
        return a.logit > b.logit;
    }
    return a.expert < b.expert;
}

}  // namespace traindyno
