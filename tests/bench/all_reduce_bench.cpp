// SPDX-License-Identifier: Apache-2.0
// Our all-reduce against MPI_Allreduce called directly, in one run: mpirun -n 2 all_reduce_bench.
#include <cstdint>
#include <exception>
#include <memory>
#include <vector>

#include <fmt/format.h>
#include <mpi.h>

#include "collectives/mpi/check.hpp"
#include "collectives/mpi/session.hpp"
#include "emulator/base/error.hpp"
#include "tests/bench/all_reduce_timing.hpp"

namespace traindyno::bench {

namespace {

struct Times {
    double direct = 0;  ///< seconds per call
    double ours = 0;
    double ratio = 0;  ///< direct / ours, the median of the rounds
};

/// Small calls are timed in batches, so that the clock does not count.
std::int64_t batch_for(std::int64_t bytes) {
    return std::clamp<std::int64_t>((std::int64_t{1} << 21) / bytes, 1, 200);
}

/// Both ways on the same buffer, A B B A in each round.
Times compare(Communicator& world, MPI_Comm raw_world, std::int64_t bytes) {
    std::vector<float> buffer(static_cast<std::size_t>(bytes) / sizeof(float));
    const std::int64_t batch = batch_for(bytes);
    const int count = static_cast<int>(buffer.size());
    const auto direct = [&] {
        for (std::int64_t i = 0; i < batch; ++i) {
            TD_MPI(
                MPI_Allreduce(MPI_IN_PLACE, buffer.data(), count, MPI_FLOAT, MPI_SUM, raw_world));
        }
    };
    const auto ours = [&] {
        for (std::int64_t i = 0; i < batch; ++i) {
            const std::span<std::byte> all = std::as_writable_bytes(std::span{buffer});
            Pending pending =
                world.all_reduce(all, all, DType::fp32, Reduction::sum, Urgency::immediate);
            TD_EXPECT(pending.done());
        }
    };
    direct();
    ours();
    const int rounds = bytes > (std::int64_t{1} << 25) ? 8 : 100;
    std::vector<double> direct_samples;
    std::vector<double> our_samples;
    for (int round = 0; round < rounds; ++round) {
        direct_samples.push_back(seconds_of(world, direct));
        our_samples.push_back(seconds_of(world, ours) + seconds_of(world, ours));
        direct_samples.back() += seconds_of(world, direct);
    }
    const std::vector<double> slowest_direct = slowest(world, direct_samples);
    const std::vector<double> our_slowest = slowest(world, our_samples);
    const auto calls = static_cast<double>(2 * batch);
    return {.direct = median(slowest_direct) / calls,
            .ours = median(our_slowest) / calls,
            .ratio = median_ratio(slowest_direct, our_slowest)};
}

void run(const MpiSession& session) {
    const std::unique_ptr<Communicator> world = session.world();
    MPI_Comm raw_world = MPI_COMM_NULL;
    TD_MPI(MPI_Comm_dup(MPI_COMM_WORLD, &raw_world));
    const bool prints = session.rank() == WorldRank{0};
    if (prints) {
        fmt::print("{}, {} ranks, fp32 sum in place\n", MpiSession::version(), session.size());
        fmt::print("{:>10} {:>14} {:>14} {:>12}\n", "KiB", "direct, us", "ours, us", "direct/ours");
    }
    for (std::int64_t bytes = 4096; bytes <= std::int64_t{256} << 20; bytes *= 4) {
        const Times times = compare(*world, raw_world, bytes);
        if (prints) {
            fmt::print("{:>10} {:>14.2f} {:>14.2f} {:>12.3f}\n",
                       bytes / 1024,
                       1e6 * times.direct,
                       1e6 * times.ours,
                       times.ratio);
        }
    }
    TD_MPI(MPI_Comm_free(&raw_world));
}

}  // namespace

}  // namespace traindyno::bench

int main(int argc, char** argv) {
    traindyno::MpiSession session(argc, argv);
    try {
        traindyno::bench::run(session);
    } catch (const std::exception& error) {
        session.abort(static_cast<int>(traindyno::ExitCode::internal), error.what());
    }
}
