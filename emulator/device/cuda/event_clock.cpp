// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/cuda/event_clock.hpp"

#include <cmath>

#include "emulator/device/device.hpp"

namespace traindyno {

namespace {

/// The host may be interrupted between its readings: the last of a few tries below the limit wins.
constexpr int tries = 4;
constexpr SimTime narrow_enough = std::chrono::microseconds{10};

}  // namespace

EventClock::EventClock() : stream_(make_stream()), anchor_(make_event(EventTiming::on)) {
    anchor();
}

void EventClock::anchor() {
    for (int i = 0; i < tries; ++i) {
        const SimTime before = now();
        TD_CUDA(cudaEventRecord(anchor_.get(), stream_.get()));
        TD_CUDA(cudaEventSynchronize(anchor_.get()));
        const SimTime after = now();
        host_ = before + (after - before) / 2;
        if (after - before <= narrow_enough) {
            return;
        }
    }
}

SimTime EventClock::host_time(cudaEvent_t event) const {
    float milliseconds = 0;
    TD_CUDA(cudaEventElapsedTime(&milliseconds, anchor_.get(), event));
    return host_ + SimTime{std::llround(static_cast<double>(milliseconds) * 1e9)};
}

}  // namespace traindyno
