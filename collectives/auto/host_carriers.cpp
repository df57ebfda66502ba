// SPDX-License-Identifier: Apache-2.0
#include "collectives/auto/host_carriers.hpp"

#include <utility>

#include "collectives/hierarchical/hierarchical_communicator.hpp"

namespace traindyno {

std::vector<Candidate> host_carriers(const std::string& node) {
    return {{.carrier = Carrier::hierarchical, .make = [node](std::unique_ptr<Communicator> plain) {
                 return make_hierarchical_communicator(std::move(plain),
                                                       {.node = node, .inside = {}, .across = {}});
             }}};
}

}  // namespace traindyno
