// SPDX-License-Identifier: Apache-2.0
// The one place that knows which communicators carry traffic between hosts' memories, by name.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "collectives/communicator.hpp"
#include "emulator/base/error.hpp"

namespace traindyno {

/// Names that a job of `ranks` ranks may use, as help and errors list them.
[[nodiscard]] std::vector<std::string> carrier_names(std::int64_t ranks);

/// The names in "mpi,ring", with aliases replaced. Unknown ones and repetitions are added to
/// `problems`, which name `origin`.
[[nodiscard]] std::vector<std::string> read_carriers(std::string_view list,
                                                     const std::string& origin,
                                                     std::int64_t ranks,
                                                     Problems& problems);

/// `name` is one of read_carriers. `world` is its own MPI communicator of all ranks. Collective.
[[nodiscard]] std::unique_ptr<Communicator> make_carrier(std::string_view name,
                                                         std::unique_ptr<Communicator> world);

}  // namespace traindyno
