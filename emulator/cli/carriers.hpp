// SPDX-License-Identifier: Apache-2.0
// The one place that knows by name which communicators `traindyno collectives` can measure.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "collectives/auto/tune.hpp"
#include "collectives/communicator.hpp"
#include "collectives/shm/shared_heap.hpp"
#include "emulator/base/enum_names.hpp"
#include "emulator/base/error.hpp"

namespace traindyno {

/// Whose memory is moved.
enum class BenchDevice : std::uint8_t { cpu, cuda };

template <>
struct EnumNames<BenchDevice> {
    static constexpr auto names = enum_table<BenchDevice>("cpu", "cuda");
};

/// Names that a job of `ranks` ranks may use, as help and errors list them.
[[nodiscard]] std::vector<std::string> carrier_names(BenchDevice device, std::int64_t ranks);

/// The names in "mpi,ring", with aliases replaced. Unknown ones and repetitions are added to
/// `problems`, which name `origin`.
[[nodiscard]] std::vector<std::string> read_carriers(std::string_view list,
                                                     const std::string& origin,
                                                     BenchDevice device,
                                                     std::int64_t ranks,
                                                     Problems& problems);

struct CarrierSetting {
    std::string node;                    ///< this rank's; equal on the ranks of a node
    LargestMessages largest;             ///< what `auto` tries before it chooses
    std::shared_ptr<SharedHeap> heap{};  ///< of the ranks of the node, where buffers come from it
    SimTime timeout = SimTime::max();    ///< of an operation in shared memory
};

/// `name` is one of read_carriers for the host's memory. `world` is its own MPI communicator of all
/// ranks. Collective.
[[nodiscard]] std::unique_ptr<Communicator> make_carrier(std::string_view name,
                                                         std::unique_ptr<Communicator> world,
                                                         const CarrierSetting& setting);

}  // namespace traindyno
