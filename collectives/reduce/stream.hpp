// SPDX-License-Identifier: Apache-2.0
// Stores that go past the caches.
#pragma once

#include <cstddef>

namespace traindyno {

/// to <- from, written line by line without reading the lines first. Complete for others only after
/// finish_streaming().
void stream_bytes(const std::byte* from, std::byte* to, std::size_t bytes);

/// Orders streamed stores before what follows: a release store does not. Takes as long as memory
/// needs to accept what is still on its way, so once per call, not per block.
void finish_streaming();

}  // namespace traindyno
