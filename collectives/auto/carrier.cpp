// SPDX-License-Identifier: Apache-2.0
#include "collectives/auto/carrier.hpp"

#include "collectives/cost/cost.hpp"

namespace traindyno {

std::optional<Algorithm> message_algorithm(Carrier carrier,
                                           CollectiveOp op,
                                           std::int64_t bytes,
                                           std::int64_t ranks) {
    switch (carrier) {
        case Carrier::mpi:
            return usual_algorithm(op, bytes, ranks);
        case Carrier::ring:
            return algorithm_for(Algorithm::ring, op);
        case Carrier::recursive_doubling:
            return algorithm_for(Algorithm::recursive_doubling, op);
        case Carrier::halving_doubling:
            return algorithm_for(Algorithm::halving_doubling, op);
        case Carrier::double_tree:
            return algorithm_for(Algorithm::double_tree, op);
        case Carrier::shm:
        case Carrier::hierarchical:
            break;
    }
    return std::nullopt;
}

}  // namespace traindyno
