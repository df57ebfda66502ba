// SPDX-License-Identifier: Apache-2.0
// When CUDA events happened, on the monotonic clock of the host.
#pragma once

#include "emulator/base/units.hpp"
#include "emulator/device/cuda/runtime.hpp"

namespace traindyno {

/// Ties the GPU's time to the host's at an anchor: an event on an idle stream, bracketed by two
/// readings of the host's clock. Event times have a resolution of about 0.5 us
/// (cudaEventElapsedTime) and grow coarser with the distance from the anchor: 8 us after 100 s.
class EventClock {
  public:
    /// Anchors. The device that is current must stay the one whose events are asked for.
    EventClock();

    /// Takes a new anchor. Events to be asked for must be recorded after it.
    void anchor();

    /// Host time of a completed timing event. Throws LibraryError when it is not complete.
    [[nodiscard]] SimTime host_time(cudaEvent_t event) const;

    /// Host time of the anchor.
    [[nodiscard]] SimTime anchored_at() const { return host_; }

  private:
    CudaStream stream_;
    CudaEvent anchor_;
    SimTime host_{0};
};

}  // namespace traindyno
