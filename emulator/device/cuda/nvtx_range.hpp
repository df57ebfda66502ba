// SPDX-License-Identifier: Apache-2.0
// Names on the host's timeline for profilers; without one attached they cost next to nothing.
#pragma once

#include <string>

#include <nvtx3/nvToolsExt.h>

namespace traindyno {

/// A range of this thread for as long as it lives.
class NvtxRange {
  public:
    explicit NvtxRange(const std::string& name) { nvtxRangePushA(name.c_str()); }

    NvtxRange(const NvtxRange&) = delete;
    NvtxRange& operator=(const NvtxRange&) = delete;
    NvtxRange(NvtxRange&&) = delete;
    NvtxRange& operator=(NvtxRange&&) = delete;

    ~NvtxRange() { nvtxRangePop(); }
};

}  // namespace traindyno
