// SPDX-License-Identifier: Apache-2.0
// How attention cuts its workspace into parts.
#pragma once

#include <cstdint>

namespace traindyno::cuda {

/// `bytes` rounded up so that the next part begins as aligned as memory from cudaMalloc.
[[nodiscard]] constexpr std::int64_t aligned_part(std::int64_t bytes) {
    constexpr std::int64_t alignment = 256;
    return (bytes + alignment - 1) / alignment * alignment;
}

}  // namespace traindyno::cuda
