// SPDX-License-Identifier: Apache-2.0
// Communicators made of others under contract, on nodes that the test makes up.
#include <memory>
#include <string>
#include <utility>

#include "collectives/auto/auto_communicator.hpp"
#include "collectives/auto/host_carriers.hpp"
#include "collectives/hierarchical/hierarchical_communicator.hpp"
#include "tests/contract/communicator_contract.hpp"
#include "tests/mpi/mpi_test.hpp"

namespace traindyno::test {

namespace {

/// As if so many ranks shared a node; the last one may have fewer.
std::string node_of(std::int64_t ranks_per_node) {
    return std::to_string(session().rank().value() / ranks_per_node);
}

/// Several chunks, full and not, at the counts of the cases.
std::unique_ptr<Communicator> hierarchical_on(std::string node) {
    return make_hierarchical_communicator(session().world(),
                                          {.node = std::move(node),
                                           .inside = {},
                                           .across = {},
                                           .depth = 2,
                                           .smallest_chunk = 8 << 10,
                                           .largest_chunk = 100'000});
}

std::unique_ptr<Communicator> two_per_node() {
    return hierarchical_on(node_of(2));
}

/// 3 + 1 of 4 ranks, 3 + 3 + 2 of 8.
std::unique_ptr<Communicator> up_to_three_per_node() {
    return hierarchical_on(node_of(3));
}

/// Ranks of a node are not neighbours.
std::unique_ptr<Communicator> round_robin() {
    return hierarchical_on(std::to_string(session().rank().value() % 2));
}

std::unique_ptr<Communicator> one_per_node() {
    return hierarchical_on(node_of(1));
}

/// What one rank measures, all its groups use: as in a job.
std::unique_ptr<Communicator> automatic() {
    static const auto table = std::make_shared<TuningTable>();
    const auto root = make_auto_communicator(session().world(),
                                             {.node = node_of(2),
                                              .candidates = host_carriers(node_of(2)),
                                              .limits = {.seconds = 0.3},
                                              .table = table});
    return root->split(0, session().rank().value());
}

/// Changes the carrier at sizes that the cases use, and between the urgencies.
std::unique_ptr<Communicator> mixed() {
    const auto table = std::make_shared<TuningTable>();
    const GroupShape shape = NodeMap::gather(*session().world(), node_of(2)).shape();
    for (std::size_t op = 0; op < enum_count<CollectiveOp>; ++op) {
        for (const Urgency urgency : {Urgency::background, Urgency::immediate}) {
            for (const std::int64_t bytes : {64, 1 << 16, 16 << 20}) {
                const bool odd = (bytes == 1 << 16) == (urgency == Urgency::immediate);
                table->add({.op = static_cast<CollectiveOp>(op),
                            .urgency = urgency,
                            .shape = shape,
                            .bytes = bytes,
                            .carrier = odd && shape.nodes > 1 && shape.most > 1
                                           ? Carrier::hierarchical
                                           : Carrier::mpi});
            }
        }
    }
    const auto root = make_auto_communicator(session().world(),
                                             {.node = node_of(2),
                                              .candidates = host_carriers(node_of(2)),
                                              .limits = {.seconds = 0.3},
                                              .table = table});
    return root->split(0, session().rank().value());
}

INSTANTIATE_TEST_SUITE_P(
    All,
    CommunicatorContract,
    testing::Values(CommunicatorCase{"hierarchical", &two_per_node},
                    CommunicatorCase{"hierarchical_uneven", &up_to_three_per_node},
                    CommunicatorCase{"hierarchical_round_robin", &round_robin},
                    CommunicatorCase{"hierarchical_one_per_node", &one_per_node},
                    CommunicatorCase{"automatic", &automatic},
                    CommunicatorCase{"automatic_mixed", &mixed}),
    name_of);

}  // namespace

}  // namespace traindyno::test
