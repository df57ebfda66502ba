// SPDX-License-Identifier: Apache-2.0
// Local work that belongs to a communication and comes after it.
#pragma once

#include <functional>

#include "collectives/communicator.hpp"

namespace traindyno {

/// Complete once `first` is and `last` has run: at once where `first` is complete already.
[[nodiscard]] Pending followed_by(Pending first, std::function<void()> last);

}  // namespace traindyno
