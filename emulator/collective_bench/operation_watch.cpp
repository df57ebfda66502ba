// SPDX-License-Identifier: Apache-2.0
#include "emulator/collective_bench/operation_watch.hpp"

#include <sched.h>

#include "collectives/patient_wait.hpp"
#include "emulator/device/device.hpp"

namespace traindyno {

namespace {

constexpr std::int64_t looks_per_clock = 1024;

}  // namespace

void OperationWatch::finish(Pending pending) const {
    SimTime start{0};
    for (std::int64_t looks = 1; !pending.done(); ++looks) {
        sched_yield();
        if (looks % looks_per_clock != 0) {
            continue;
        }
        if (start == SimTime{0}) {
            start = now();
        }
        if (now() - start > timeout_) {
            throw hang_of(operation_, timeout_, pending);
        }
    }
}

SimTime OperationWatch::blocked_since() const {
    const std::uint64_t calls = calls_;
    if (calls != seen_) {
        seen_ = calls;
        since_ = now();
    }
    return calls % 2 == 1 ? since_ : SimTime{0};
}

}  // namespace traindyno
