// SPDX-License-Identifier: Apache-2.0
// How a communicator gets the communicators it is made of.
#pragma once

#include <functional>
#include <memory>

#include "collectives/communicator.hpp"

namespace traindyno {

/// Makes one for the members of `plain`, which it owns. Collective.
using MakeCommunicator =
    std::function<std::unique_ptr<Communicator>(std::unique_ptr<Communicator> plain)>;

}  // namespace traindyno
