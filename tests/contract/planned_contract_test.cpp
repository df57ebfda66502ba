// SPDX-License-Identifier: Apache-2.0
// The communicators with algorithms of our own under contract, over MPI's messages.
#include <chrono>

#include "collectives/algorithms/planned_communicator.hpp"
#include "collectives/control.hpp"
#include "collectives/patient_wait.hpp"
#include "emulator/base/error.hpp"
#include "tests/contract/communicator_contract.hpp"
#include "tests/mpi/mpi_test.hpp"

namespace traindyno::test {

namespace {

/// Strands as of a large message, from a few bytes on.
Chunking five_strands(Algorithm algorithm,
                      CollectiveOp op,
                      std::int64_t bytes,
                      std::int64_t ranks,
                      std::int64_t element_size) {
    constexpr std::int64_t large = std::int64_t{1} << 40;
    const bool cuts = chunking_for(algorithm, op, large, ranks, element_size).strands > 1;
    return cuts && bytes > 0 ? Chunking{.strands = 5, .lanes = 2} : Chunking{};
}

template <Algorithm algorithm>
std::unique_ptr<Communicator> planned() {
    return make_planned_communicator(session().world(), algorithm);
}

std::unique_ptr<Communicator> ring_cut() {
    return make_planned_communicator(session().world(), Algorithm::ring, &five_strands);
}

std::unique_ptr<Communicator> alone() {
    return make_planned_communicator(Communicator::serial(), Algorithm::ring);
}

INSTANTIATE_TEST_SUITE_P(
    Planned,
    CommunicatorContract,
    testing::Values(CommunicatorCase{"alone", &alone},
                    CommunicatorCase{"ring", &planned<Algorithm::ring>},
                    CommunicatorCase{"recursive_doubling", &planned<Algorithm::recursive_doubling>},
                    CommunicatorCase{"halving_doubling", &planned<Algorithm::halving_doubling>},
                    CommunicatorCase{"double_tree", &planned<Algorithm::double_tree>},
                    CommunicatorCase{"ring_cut", &ring_cut}),
    name_of);

TEST(PlannedCollectives, who_waits_in_vain_learns_for_whom) {
    const std::unique_ptr<Communicator> world = session().world();
    const std::unique_ptr<Communicator> group =
        make_planned_communicator(session().world(), Algorithm::ring);
    const std::int64_t last = world->size() - 1;
    std::vector<float> buffer(5, 1);
    Pending pending;
    const auto join = [&] {
        pending = group->all_reduce(
            bytes(buffer), bytes(buffer), DType::fp32, Reduction::sum, Urgency::background);
    };
    if (world->rank().value() < last) {
        join();
    }
    if (world->rank().value() == 0 && last > 0) {  // the last one's neighbour
        std::string error;
        try {
            wait_patiently(pending, {.timeout = std::chrono::milliseconds{30}});
        } catch (const HangError& hang) {
            error = hang.what();
        }
        EXPECT_NE(error.find(std::to_string(last) + " of the group"), std::string::npos) << error;
    }
    barrier(*world, Urgency::background);
    if (world->rank().value() == last) {
        join();
    }
    finish(pending);
    EXPECT_EQ(buffer, std::vector<float>(5, static_cast<float>(world->size())));
}

}  // namespace

}  // namespace traindyno::test
