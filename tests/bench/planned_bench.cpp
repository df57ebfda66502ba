// SPDX-License-Identifier: Apache-2.0
// Our algorithms' all-reduce against MPI's own, in one run: mpirun -n 4 planned_bench [MiB at
// most].
#include <array>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <memory>
#include <vector>

#include <fmt/format.h>

#include "collectives/algorithms/planned_communicator.hpp"
#include "collectives/mpi/session.hpp"
#include "emulator/base/error.hpp"
#include "tests/bench/all_reduce_timing.hpp"

namespace traindyno::bench {

namespace {

constexpr std::array algorithms{Algorithm::ring,
                                Algorithm::recursive_doubling,
                                Algorithm::halving_doubling,
                                Algorithm::double_tree};

/// Out of place, so that every call does the same.
struct Buffers {
    explicit Buffers(std::int64_t bytes)
        : in(static_cast<std::size_t>(bytes) / sizeof(float), 1.0F), out(in.size()) {}

    std::vector<float> in;
    std::vector<float> out;
};

double batch_seconds(Communicator& world, Communicator& group, Buffers& buffers, int batch) {
    return seconds_of(world, [&] {
        for (int i = 0; i < batch; ++i) {
            Pending pending = group.all_reduce(std::as_bytes(std::span{buffers.in}),
                                               std::as_writable_bytes(std::span{buffers.out}),
                                               DType::fp32,
                                               Reduction::sum,
                                               Urgency::immediate);
            TD_EXPECT(pending.done());
        }
    });
}

struct Comparison {
    double mpi_us = 0;
    double ratio = 0;  ///< MPI's time / ours, the median of the rounds
};

/// A B A B: MPI, ours, MPI, ours, ...
Comparison compare(Communicator& world, Communicator& ours, std::int64_t bytes) {
    Buffers buffers{bytes};
    const int batch =
        static_cast<int>(std::clamp<std::int64_t>((std::int64_t{1} << 20) / bytes, 1, 50));
    const int rounds = bytes < (std::int64_t{1} << 24) ? 21 : 7;
    std::vector<double> mpi_samples;
    std::vector<double> our_samples;
    for (int round = -1; round < rounds; ++round) {
        const double mpi = batch_seconds(world, world, buffers, batch);
        const double mine = batch_seconds(world, ours, buffers, batch);
        if (round >= 0) {  // the first one warms up
            mpi_samples.push_back(mpi);
            our_samples.push_back(mine);
        }
    }
    mpi_samples = slowest(world, mpi_samples);
    our_samples = slowest(world, our_samples);
    return {.mpi_us = 1e6 * median(mpi_samples) / batch,
            .ratio = median_ratio(mpi_samples, our_samples)};
}

void run(const MpiSession& session, std::int64_t most_mib) {
    const std::unique_ptr<Communicator> world = session.world();
    std::vector<std::unique_ptr<Communicator>> groups;
    for (const Algorithm algorithm : algorithms) {
        groups.push_back(make_planned_communicator(session.world(), algorithm));
    }
    const bool prints = session.rank() == WorldRank{0};
    if (prints) {
        fmt::print("{}, {} ranks, fp32 sum out of place; MPI's time / ours\n{:>10} {:>12}",
                   MpiSession::version(),
                   session.size(),
                   "KiB",
                   "MPI, us");
        for (const Algorithm algorithm : algorithms) {
            fmt::print(" {:>19}", to_string(algorithm));
        }
        fmt::print("\n");
    }
    for (std::int64_t bytes = 1024; bytes <= most_mib << 20; bytes *= 16) {
        std::vector<Comparison> results;
        for (const std::unique_ptr<Communicator>& group : groups) {
            results.push_back(compare(*world, *group, bytes));
        }
        if (prints) {
            fmt::print("{:>10} {:>12.1f}", bytes / 1024, results.front().mpi_us);
            for (const Comparison& result : results) {
                fmt::print(" {:>19.2f}", result.ratio);
            }
            fmt::print("\n");
        }
    }
}

}  // namespace

}  // namespace traindyno::bench

int main(int argc, char** argv) {
    traindyno::MpiSession session(argc, argv);
    try {
        traindyno::bench::run(session, argc > 1 ? std::atoll(argv[1]) : 64);
    } catch (const std::exception& error) {
        session.abort(static_cast<int>(traindyno::ExitCode::internal), error.what());
    }
}
