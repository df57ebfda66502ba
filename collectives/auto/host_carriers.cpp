// SPDX-License-Identifier: Apache-2.0
#include "collectives/auto/host_carriers.hpp"

#include <utility>

#include "collectives/algorithms/planned_communicator.hpp"
#include "collectives/hierarchical/hierarchical_communicator.hpp"
#include "collectives/shm/shm_communicator.hpp"
#include "emulator/base/error.hpp"

namespace traindyno {

namespace {

Candidate planned(Carrier carrier, Algorithm algorithm) {
    return {.carrier = carrier, .make = [algorithm](std::unique_ptr<Communicator> plain) {
                return make_planned_communicator(std::move(plain), algorithm);
            }};
}

MakeCommunicator in_shared_memory(std::shared_ptr<SharedHeap> heap) {
    return [heap = std::move(heap)](std::unique_ptr<Communicator> plain) {
        if (plain->size() == 1) {
            return plain;
        }
        std::shared_ptr<SharedHeap> from = heap ? heap : SharedHeap::create(*plain);
        return make_shm_communicator(std::move(plain), std::move(from));
    };
}

/// Of one node of several: the others do not know how this one decides, nor need they.
MakeCommunicator inside_node(std::shared_ptr<SharedHeap> heap) {
    return [make = in_shared_memory(std::move(heap))](std::unique_ptr<Communicator> plain) {
        std::unique_ptr<Communicator> messages = plain->split(0, plain->rank().value());
        try {
            return make(std::move(plain));
        } catch (const LibraryError&) {
            return messages;
        }
    };
}

std::unique_ptr<Communicator> ring(std::unique_ptr<Communicator> plain) {
    return make_planned_communicator(std::move(plain), Algorithm::ring);
}

}  // namespace

std::vector<Candidate> host_carriers(const std::string& node,
                                     const std::shared_ptr<SharedHeap>& heap) {
    return {{.carrier = Carrier::shm, .make = in_shared_memory(heap)},
            planned(Carrier::ring, Algorithm::ring),
            planned(Carrier::recursive_doubling, Algorithm::recursive_doubling),
            planned(Carrier::halving_doubling, Algorithm::halving_doubling),
            planned(Carrier::double_tree, Algorithm::double_tree),
            {.carrier = Carrier::hierarchical,
             .make = [node, inside = inside_node(heap)](std::unique_ptr<Communicator> plain) {
                 return make_hierarchical_communicator(
                     std::move(plain), {.node = node, .inside = inside, .across = &ring});
             }}};
}

}  // namespace traindyno
