// SPDX-License-Identifier: Apache-2.0
// The one place that knows every device and every carrier of traffic.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "collectives/auto/tuning_table.hpp"
#include "collectives/shm/shared_heap.hpp"
#include "emulator/cli/request.hpp"
#include "emulator/engine/backend.hpp"

namespace traindyno {

/// What a rank may use on its host.
struct RankResources {
    std::vector<int> cores;                 ///< for compute threads
    std::int64_t local_size = 1;            ///< ranks of this job on the host
    std::string host{};                     ///< its name
    std::shared_ptr<TuningTable> tuning{};  ///< carriers of traffic: known choices and new ones
    std::optional<GpuDescription> gpu{};    ///< that it computes on
    std::shared_ptr<SharedHeap> heap{};     ///< of the ranks of the host; null where there is none
};

/// The backend that `request` asks for, on this rank. Both arguments outlive it. Throws
/// ConfigError.
[[nodiscard]] std::unique_ptr<Backend> make_backend(const MeasureRequest& request,
                                                    const RankResources& resources);

}  // namespace traindyno
