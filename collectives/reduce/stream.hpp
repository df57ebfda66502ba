// SPDX-License-Identifier: Apache-2.0
// Stores that go past the caches, and loads that are asked for before they are needed.
#pragma once

#include <cstddef>

namespace traindyno {

/// Processors stop prefetching where a 4 KiB page ends, so loops ask for what they will read, so
/// many bytes ahead.
inline constexpr std::size_t fetch_ahead = 2048;

/// Asks for the lines that begin in [begin, begin + bytes).
inline void prefetch_lines(const std::byte* begin, std::size_t bytes) {
    for (std::size_t at = 0; at < bytes; at += 64) {
        __builtin_prefetch(begin + at);
    }
}

/// to <- from, written line by line without reading the lines first. Complete for others only after
/// finish_streaming().
void stream_bytes(const std::byte* from, std::byte* to, std::size_t bytes);

/// Orders streamed stores before what follows: a release store does not. Takes as long as memory
/// needs to accept what is still on its way, so once per call, not per block.
void finish_streaming();

}  // namespace traindyno
