// SPDX-License-Identifier: Apache-2.0
// Two ranks without MPI, whose launcher would end the survivor: rank 1 is killed in the middle of
// an all-reduce, and rank 0 must notice, say what hung, and leave with exit code 5.
#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <thread>

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include "collectives/nccl/check.hpp"
#include "collectives/nccl/nccl_comm.hpp"
#include "collectives/nccl/nccl_environment.hpp"
#include "emulator/device/cuda/runtime.hpp"

namespace traindyno {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::int64_t large = std::int64_t{512} << 20;  // bytes; a second over loopback
constexpr auto deadline = std::chrono::seconds{10};

void run_until(NcclComm& comm, cudaStream_t stream, Clock::time_point end) {
    const CudaEvent event = make_event(EventTiming::off);
    TD_CUDA(cudaEventRecord(event.get(), stream));
    while (!is_complete(event.get())) {
        (void)comm.settled();
        if (Clock::now() > end) {
            throw HangError(fmt::format("{} does not complete", comm.last_call()));
        }
        std::this_thread::yield();
    }
}

/// The survivor's exit code.
int run_rank(int rank, std::array<int, 2> pipe_ends) {
    int version = 0;
    TD_NCCL(ncclGetVersion(&version));
    set_where_unset(nccl_environment(GpuSharing::allowed, WorldRank{rank}, version));
    ncclUniqueId id{};
    if (rank == 0) {
        TD_NCCL(ncclGetUniqueId(&id));
        TD_EXPECT(write(pipe_ends[1], &id, sizeof(id)) == sizeof(id));
    } else {
        TD_EXPECT(read(pipe_ends[0], &id, sizeof(id)) == sizeof(id));
    }
    NcclComm comm{
        id, GroupRank{rank}, 2, {.name = "the test", .timeout = std::chrono::seconds{60}}};
    comm.settle();
    const CudaStream stream = make_stream(StreamPriority::highest);
    const DeviceBytes buffer{Bytes{large}};
    TD_CUDA(cudaMemsetAsync(buffer.data(), 0, static_cast<std::size_t>(large), stream.get()));
    comm.all_reduce(buffer.data(), buffer.data(), 1024, DType::fp32, Reduction::sum, stream.get());
    run_until(comm, stream.get(), Clock::now() + std::chrono::seconds{60});
    comm.all_reduce(
        buffer.data(), buffer.data(), large / 4, DType::fp32, Reduction::sum, stream.get());
    if (rank == 1) {
        std::this_thread::sleep_for(std::chrono::milliseconds{50});
        (void)raise(SIGKILL);
    }
    try {
        run_until(comm, stream.get(), Clock::now() + deadline);
    } catch (const Error& error) {
        fmt::print("{}\n", error.what());
        comm.abort();
        TD_CUDA(cudaStreamSynchronize(stream.get()));  // the kernel is gone, the GPU free
        return static_cast<int>(ExitCode::hang);
    }
    fmt::print("the all-reduce completed without its peer\n");
    return EXIT_SUCCESS;
}

int run_child(int rank, std::array<int, 2> pipe_ends) noexcept {
    try {
        return run_rank(rank, pipe_ends);
    } catch (const std::exception& error) {
        fmt::print("rank {}: {}\n", rank, error.what());
        return EXIT_FAILURE;
    }
}

/// No CUDA here: it does not survive a fork.
int run_both() {
    std::array<int, 2> pipe_ends{};
    TD_EXPECT(pipe(pipe_ends.data()) == 0);
    std::array<pid_t, 2> children{};
    for (int rank = 0; rank < 2; ++rank) {
        pid_t& child = children[static_cast<std::size_t>(rank)];
        child = fork();
        TD_EXPECT(child >= 0);
        if (child == 0) {
            const int code = run_child(rank, pipe_ends);
            std::fflush(stdout);
            std::_Exit(code);
        }
    }
    int survivor = 0;
    int lost = 0;
    TD_EXPECT(waitpid(children[0], &survivor, 0) == children[0]);
    TD_EXPECT(waitpid(children[1], &lost, 0) == children[1]);
    if (!WIFSIGNALED(lost) || WTERMSIG(lost) != SIGKILL) {
        fmt::print("rank 1 ended before it was killed\n");
        return EXIT_FAILURE;
    }
    return WIFEXITED(survivor) ? WEXITSTATUS(survivor) : EXIT_FAILURE;
}

}  // namespace

}  // namespace traindyno

int main() {
    try {
        return traindyno::run_both();
    } catch (const std::exception& error) {
        fmt::print("{}\n", error.what());
        return EXIT_FAILURE;
    }
}
