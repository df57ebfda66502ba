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

std::unique_ptr<Communicator> in_shared_memory(std::unique_ptr<Communicator> plain,
                                               const std::shared_ptr<SharedHeap>& heap,
                                               const ShmOptions& options) {
    if (plain->size() == 1) {
        return plain;
    }
    std::shared_ptr<SharedHeap> from = heap ? heap : SharedHeap::create(*plain);
    return make_shm_communicator(std::move(plain), std::move(from), options);
}

/// Of one node of several: the others do not know how this one decides, nor need they.
std::unique_ptr<Communicator> inside_node(std::unique_ptr<Communicator> plain,
                                          const std::shared_ptr<SharedHeap>& heap,
                                          const ShmOptions& options) {
    std::unique_ptr<Communicator> messages = plain->split(0, plain->rank().value());
    try {
        return in_shared_memory(std::move(plain), heap, options);
    } catch (const LibraryError&) {
        return messages;
    }
}

std::unique_ptr<Communicator> ring_of_hosts(std::unique_ptr<Communicator> plain) {
    return make_planned_communicator(std::move(plain), Algorithm::ring, &chunking_between_hosts);
}

Candidate two_levels(const std::string& node,
                     const std::shared_ptr<SharedHeap>& heap,
                     const ShmOptions& options) {
    return {.carrier = Carrier::hierarchical,
            .make = [node, heap, options](std::unique_ptr<Communicator> plain) {
                return make_hierarchical_communicator(
                    std::move(plain),
                    {.node = node,
                     .inside =
                         [heap, options](std::unique_ptr<Communicator> node_ranks) {
                             return inside_node(std::move(node_ranks), heap, options);
                         },
                     .across = &ring_of_hosts});
            }};
}

}  // namespace

std::vector<Candidate> host_carriers(const std::string& node,
                                     const std::shared_ptr<SharedHeap>& heap,
                                     const ShmOptions& shared_memory) {
    std::vector<Candidate> candidates;
    candidates.push_back({.carrier = Carrier::shm,
                          .make = [heap, shared_memory](std::unique_ptr<Communicator> plain) {
                              return in_shared_memory(std::move(plain), heap, shared_memory);
                          }});
    candidates.push_back(planned(Carrier::ring, Algorithm::ring));
    candidates.push_back(planned(Carrier::recursive_doubling, Algorithm::recursive_doubling));
    candidates.push_back(planned(Carrier::halving_doubling, Algorithm::halving_doubling));
    candidates.push_back(planned(Carrier::double_tree, Algorithm::double_tree));
    candidates.push_back(two_levels(node, heap, shared_memory));
    return candidates;
}

}  // namespace traindyno
