// SPDX-License-Identifier: Apache-2.0
// One of the ranks of shm_remains_test.cpp: reduces in shared memory, tells what it maps, is
// killed.
#include <csignal>
#include <cstdint>
#include <exception>
#include <fstream>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "collectives/control.hpp"
#include "collectives/mpi/session.hpp"
#include "collectives/patient_wait.hpp"
#include "collectives/shm/shm_communicator.hpp"
#include "emulator/base/error.hpp"

namespace {

using namespace traindyno;

/// Lines of this process's memory map that hold `text`, but not MPI's own segments.
std::int64_t mappings(const std::string& text) {
    std::ifstream maps("/proc/self/maps");
    std::int64_t count = 0;
    for (std::string line; std::getline(maps, line);) {
        const bool ours = line.find("vader_segment") == std::string::npos;
        count += ours && line.find(text) != std::string::npos ? 1 : 0;
    }
    return count;
}

void reduce(Communicator& group, std::span<std::byte> buffer) {
    Pending reduced =
        group.all_reduce(buffer, buffer, DType::fp32, Reduction::sum, Urgency::immediate);
    wait_patiently(reduced);
}

}  // namespace

int main(int argc, char** argv) {
    MpiSession session(argc, argv);
    try {
        constexpr std::size_t count = std::size_t{4} << 20;
        const std::shared_ptr<SharedHeap> heap = SharedHeap::create(*session.world());
        const std::unique_ptr<Communicator> group = make_shm_communicator(session.world(), heap);
        const std::shared_ptr<std::byte> block = heap->lend(count);
        std::vector<std::byte> ordinary(count);
        reduce(*group, {block.get(), count});
        reduce(*group, ordinary);
        fmt::print("without a name {}, with one {}\n",
                   mappings("memfd:traindyno (deleted)"),
                   mappings(" /dev/shm/"));
        std::fflush(stdout);
        barrier(*group, Urgency::immediate);
        if (group->rank() == GroupRank{1}) {
            (void)std::raise(SIGKILL);
        }
        // The others meet a member that is gone, in the middle of a collective.
        for (;;) {
            reduce(*group, ordinary);
        }
    } catch (const std::exception& error) {
        session.abort(static_cast<int>(ExitCode::internal), error.what());
    }
}
