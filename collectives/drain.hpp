// SPDX-License-Identifier: Apache-2.0
// The end of an operation whose Pending goes before it is complete.
#pragma once

#include "collectives/communicator.hpp"

namespace traindyno {

/// For destructors: advances `operation` until it is complete, because it still uses the caller's
/// buffers. An error goes to stderr; while an exception is in flight nothing is waited for, since
/// peers may never come.
void drain(Pending::Operation& operation) noexcept;

}  // namespace traindyno
