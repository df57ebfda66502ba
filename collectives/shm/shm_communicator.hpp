// SPDX-License-Identifier: Apache-2.0
// Collectives of the ranks of one host through memory that all of them map.
#pragma once

#include <memory>

#include "collectives/communicator.hpp"
#include "collectives/shm/shared_heap.hpp"
#include "emulator/base/units.hpp"

namespace traindyno {

struct ShmOptions {
    SimTime timeout = SimTime::max();  ///< HangError from an immediate call after this long
    /// Of a message between ordinary buffers, shown to each member at a time; 0: chosen.
    std::size_t chunk_bytes = 0;
};

/// Carries collectives of host buffers between the ranks of `over`, all of which made `heap`
/// together; messages, `split` and `abort` go to `over`. Buffers from the heap are the fastest, but
/// any will do. Calls that are under way are advanced whenever this process asks for any operation
/// of any communicator on the heap. Collective; blocks. A group of one needs
/// no memory: `over` itself comes back.
[[nodiscard]] std::unique_ptr<Communicator> make_shm_communicator(
    std::unique_ptr<Communicator> over, std::shared_ptr<SharedHeap> heap, ShmOptions options = {});

}  // namespace traindyno
