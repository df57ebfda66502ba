// SPDX-License-Identifier: Apache-2.0
// The communicators for device memory under contract.
#include <cstdio>
#include <utility>

#include "collectives/nccl/nccl_communicator.hpp"
#include "collectives/staged/cuda_staging.hpp"
#include "collectives/staged/staged_communicator.hpp"
#include "tests/contract/communicator_contract.hpp"
#include "tests/gpu/nccl/gpu_world.hpp"
#include "tests/gpu/nccl/mirrored_communicator.hpp"
#include "tests/mpi/mpi_test.hpp"

namespace traindyno::test {

namespace {

/// One NCCL communicator for all tests, as ranks that share a GPU take seconds to set one up.
struct World {
    std::shared_ptr<MirrorMemory> memory;
    std::shared_ptr<Communicator> nccl;
    std::shared_ptr<Communicator> staged;
};

World world;

std::unique_ptr<Communicator> mirrored(std::shared_ptr<Communicator> device) {
    return make_mirrored_communicator(std::move(device), world.memory);
}

/// NCCL connects at the first use, which must not meet a kernel that waits for its peer.
void connect(Communicator& group) {
    std::vector<float> buffer(8 * static_cast<std::size_t>(group.size()));
    std::vector<float> part(8);
    finish(group.all_reduce(
        bytes(buffer), bytes(buffer), DType::fp32, Reduction::sum, Urgency::background));
    finish(group.reduce_scatter(
        bytes(buffer), bytes(part), DType::fp32, Reduction::sum, Urgency::background));
    finish(group.all_gather(bytes(part), bytes(buffer), Urgency::background));
    std::vector<float> other(buffer.size());
    finish(group.all_to_all(bytes(buffer), bytes(other), {}, Urgency::background));
    finish(group.broadcast(bytes(buffer), GroupRank{0}, Urgency::background));
    const std::int64_t rank = group.rank().value();
    const std::int64_t size = group.size();
    Pending received = group.recv(bytes(part), GroupRank{(rank + size - 1) % size}, 0);
    Pending sent = group.send(bytes(buffer).first(32), GroupRank{(rank + 1) % size}, 0);
    finish(received);
    finish(sent);
}

class SharedWorld final : public testing::Environment {
  public:
    void SetUp() override {
        if (!gpu_missing().empty()) {
            return;
        }
        world.memory = make_mirror_memory(Bytes{std::int64_t{192} << 20});
        world.nccl = make_nccl_communicator(session().world(), nccl_test_options());
        world.staged = make_staged_communicator(session().world(), make_cuda_staging());
        connect(*mirrored(world.nccl));
    }

    void TearDown() override { world = {}; }
};

// GoogleTest owns it.
const testing::Environment* const shared_world =
    testing::AddGlobalTestEnvironment(new SharedWorld);  // NOLINT(cppcoreguidelines-owning-memory)

std::unique_ptr<Communicator> nccl() {
    return mirrored(world.nccl);
}

std::unique_ptr<Communicator> staged() {
    return mirrored(world.staged);
}

INSTANTIATE_TEST_SUITE_P(
    Gpu,
    CommunicatorContract,
    testing::Values(CommunicatorCase{"nccl", &nccl, Matching::in_order, &gpu_missing},
                    CommunicatorCase{"staged", &staged, Matching::by_tag, &gpu_missing}),
    name_of);

TEST(NcclTopology, names_the_network) {
    if (const std::string missing = gpu_missing(); !missing.empty()) {
        GTEST_SKIP() << missing;
    }
    const std::vector<std::string> lines = nccl_topology();
    EXPECT_FALSE(lines.empty());
    if (session().rank() == WorldRank{0}) {
        for (const std::string& line : lines) {
            std::printf("%s\n", line.c_str());
        }
    }
}

}  // namespace

}  // namespace traindyno::test
