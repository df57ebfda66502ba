// SPDX-License-Identifier: Apache-2.0
// Where host arrays that are communicated come from.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

namespace traindyno {

/// Lends zeros, 2 MiB aligned and not touched yet, that go back when the last owner is gone; null
/// when there are none left. An empty function: nothing but this process's own memory.
using HostMemory = std::function<std::shared_ptr<std::byte>(std::size_t bytes)>;

}  // namespace traindyno
