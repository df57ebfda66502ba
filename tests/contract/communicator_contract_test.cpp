// SPDX-License-Identifier: Apache-2.0
// The communicators for host memory under contract.
#include "tests/contract/communicator_contract.hpp"

#include <cstddef>
#include <cstring>
#include <utility>

#include <mpi.h>

#include "collectives/mpi/check.hpp"
#include "collectives/mpi/mpi_communicator.hpp"
#include "collectives/shm/shm_communicator.hpp"
#include "collectives/staged/staged_communicator.hpp"
#include "tests/mpi/mpi_test.hpp"

namespace traindyno::test {

namespace {

/// Copies when it has been asked `looks_` times before: a device that is busy.
class LateCopy final : public Pending::Operation {
  public:
    LateCopy(std::span<const std::byte> from, std::span<std::byte> to, int looks)
        : from_(from), to_(to), looks_(looks) {}

    [[nodiscard]] bool advance() override {
        if (looks_-- > 0) {
            return false;
        }
        std::memcpy(to_.data(), from_.data(), to_.size());
        return true;
    }

  private:
    std::span<const std::byte> from_;
    std::span<std::byte> to_;
    int looks_;
};

/// Host memory in the part of device memory.
class PretendedStaging final : public HostStaging {
  public:
    explicit PretendedStaging(int looks) : looks_(looks) {}

    [[nodiscard]] std::shared_ptr<std::byte> lend(std::size_t size) override {
        const auto block = std::make_shared<std::vector<std::byte>>(size + 1);
        return {block, block->data()};
    }

    Pending to_host(std::span<const std::byte> device, std::span<std::byte> host) override {
        return copy(device, host);
    }

    Pending to_device(std::span<const std::byte> host, std::span<std::byte> device) override {
        return copy(host, device);
    }

  private:
    [[nodiscard]] Pending copy(std::span<const std::byte> from, std::span<std::byte> to) const {
        EXPECT_EQ(from.size(), to.size());
        return Pending{std::make_unique<LateCopy>(from, to, looks_)};
    }

    int looks_;
};

std::unique_ptr<Communicator> world() {
    return session().world();
}

std::unique_ptr<Communicator> halves() {
    const std::unique_ptr<Communicator> all = world();
    const std::int64_t rank = all->rank().value();
    return all->split(rank < all->size() / 2 ? 0 : 1, 0);
}

std::unique_ptr<Communicator> reversed() {
    const std::unique_ptr<Communicator> all = world();
    return all->split(0, static_cast<std::int32_t>(all->size()) - all->rank().value());
}

/// As if MPI counted to 4096 only: everything longer goes in pieces.
std::unique_ptr<Communicator> pieces() {
    MPI_Comm handle = MPI_COMM_NULL;
    TD_MPI(MPI_Comm_dup(MPI_COMM_WORLD, &handle));
    return make_mpi_communicator(handle, {.largest_count = 4096});
}

std::unique_ptr<Communicator> staged() {
    return make_staged_communicator(world(), std::make_shared<PretendedStaging>(0));
}

/// Copies last longer on some ranks than on others.
std::unique_ptr<Communicator> staged_late() {
    const int looks = session().rank().value() % 3 + 1;
    return make_staged_communicator(world(), std::make_shared<PretendedStaging>(looks));
}

std::unique_ptr<Communicator> shm() {
    return make_shm_communicator(world(), SharedHeap::create(*world()));
}

/// Not all ranks, and not in the order in which they made the heap.
std::unique_ptr<Communicator> shm_reversed() {
    return shm()->split(0, static_cast<std::int32_t>(session().size()) - session().rank().value());
}

INSTANTIATE_TEST_SUITE_P(All,
                         CommunicatorContract,
                         testing::Values(CommunicatorCase{"serial", &Communicator::serial},
                                         CommunicatorCase{"world", &world},
                                         CommunicatorCase{"halves", &halves},
                                         CommunicatorCase{"reversed", &reversed},
                                         CommunicatorCase{"pieces", &pieces},
                                         CommunicatorCase{"staged", &staged},
                                         CommunicatorCase{"staged_late", &staged_late},
                                         CommunicatorCase{"shm", &shm},
                                         CommunicatorCase{"shm_reversed", &shm_reversed}),
                         name_of);

}  // namespace

}  // namespace traindyno::test
