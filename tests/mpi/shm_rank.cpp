// SPDX-License-Identifier: Apache-2.0
// One of the ranks that shm_remains_test.cpp kills: reduces in shared memory until then.
#include <exception>
#include <span>
#include <vector>

#include <fmt/format.h>
#include <unistd.h>

#include "collectives/mpi/session.hpp"
#include "collectives/shm/shm_communicator.hpp"
#include "emulator/base/error.hpp"

int main(int argc, char** argv) {
    using namespace traindyno;
    MpiSession session(argc, argv);
    try {
        constexpr std::size_t count = std::size_t{4} << 20;
        const std::shared_ptr<SharedHeap> heap = SharedHeap::create(*session.world());
        const std::unique_ptr<Communicator> group = make_shm_communicator(session.world(), heap);
        const std::shared_ptr<std::byte> block = heap->lend(count);
        std::vector<std::byte> ordinary(count);
        for (std::int64_t round = 0;; ++round) {
            for (const std::span<std::byte> buffer :
                 {std::span{block.get(), count}, std::span{ordinary}}) {
                (void)group->all_reduce(
                    buffer, buffer, DType::fp32, Reduction::sum, Urgency::immediate);
            }
            if (round == 0) {
                fmt::print("{}\n", getpid());
                std::fflush(stdout);
            }
        }
    } catch (const std::exception& error) {
        session.abort(static_cast<int>(ExitCode::internal), error.what());
    }
}
