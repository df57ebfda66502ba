// SPDX-License-Identifier: Apache-2.0
// Collectives in shared memory against MPI's own and against plain copies, in one run:
// mpirun -n 4 shm_bench [--check] [--only OPERATION] [--smallest KIB] [--largest MIB].
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <mpi.h>

#include "collectives/mpi/check.hpp"
#include "collectives/mpi/session.hpp"
#include "collectives/shm/shm_communicator.hpp"
#include "emulator/base/error.hpp"
#include "tests/bench/all_reduce_timing.hpp"
#include "tests/bench/shm_comparison.hpp"
#include "tests/bench/shm_targets.hpp"

namespace traindyno::bench {

namespace {

struct Options {
    bool checks = false;  ///< a target that is missed ends in exit code 1
    std::string only;     ///< name of an operation; empty: all
    std::int64_t smallest = 0;
    std::int64_t largest = 256 * mib;
};

std::vector<Line> lines(const Options& options) {
    std::vector<Line> result;
    const auto add = [&](Operation operation, DType type, std::int64_t bytes) {
        const bool wanted = options.only.empty() || options.only == name_of(operation);
        if (wanted && bytes >= options.smallest && bytes <= options.largest) {
            result.push_back({.operation = operation, .type = type, .bytes = bytes});
        }
    };
    for (const Operation operation :
         {Operation::all_reduce, Operation::reduce_scatter, Operation::all_gather}) {
        for (const std::int64_t bytes : {4 * kib, 64 * kib, mib, 16 * mib, 64 * mib, 256 * mib}) {
            add(operation, DType::fp32, bytes);
        }
    }
    for (const std::int64_t bytes : {16 * mib, 64 * mib, 256 * mib}) {
        add(Operation::all_reduce, DType::bf16, bytes);
    }
    return result;
}

/// One-minute load average, or what stands for it where there is none.
double load() {
    double value = -1;
    (void)getloadavg(&value, 1);
    return value;
}

void print_head(const MpiSession& session) {
    fmt::print(
        "{}, {} ranks, sum out of place; us per call, x: times faster than MPI, copies x: "
        "what copies of the message alone would reach\n",
        MpiSession::version(),
        session.size());
    fmt::print("{:<14} {:>4} {:>7} {:>10} {:>10} {:>10} {:>10} {:>7} {:>7} {:>8} {:>8} {:>6}\n",
               "operation",
               "type",
               "KiB",
               "MPI",
               "heap",
               "ordinary",
               "copies",
               "heap x",
               "ordin x",
               "copies x",
               "/copies",
               "load");
}

void print(const Line& line, const Samples& samples, const std::vector<Target>& targets) {
    const auto us = [&](Way way) { return 1e6 * median(of(samples, way)); };
    const auto faster = [&](Way way) {
        return median_ratio(of(samples, Way::mpi), of(samples, way));
    };
    fmt::print(
        "{:<14} {:>4} {:>7} {:>10.2f} {:>10.2f} {:>10.2f} {:>10.2f} {:>7.2f} {:>7.2f} "
        "{:>8.2f} {:>8.2f} {:>6.1f}\n",
        name_of(line.operation),
        to_string(line.type),
        line.bytes / kib,
        us(Way::mpi),
        us(Way::heap),
        us(Way::ordinary),
        us(Way::copies),
        faster(Way::heap),
        faster(Way::ordinary),
        faster(Way::copies),
        median_ratio(of(samples, Way::heap), of(samples, Way::copies)),
        load());
    for (const Target& target : targets) {
        fmt::print("    {}\n", to_text(target));
    }
    std::fflush(stdout);
}

/// Targets that were missed.
int run(const MpiSession& session, const Options& options) {
    const std::unique_ptr<Communicator> world = session.world();
    MPI_Comm raw = MPI_COMM_NULL;
    TD_MPI(MPI_Comm_dup(MPI_COMM_WORLD, &raw));
    const std::shared_ptr<SharedHeap> heap = SharedHeap::create(*world);
    const std::unique_ptr<Communicator> shm = make_shm_communicator(session.world(), heap);
    const bool prints = session.rank() == WorldRank{0};
    if (prints) {
        print_head(session);
    }
    int missed = 0;
    for (const Line& line : lines(options)) {
        Comparison comparison(*world, raw, *shm, *heap, line);
        const Samples samples = comparison.measure();
        const std::vector<Target> targets = targets_of(line, samples);
        for (const Target& target : targets) {
            missed += target.met() ? 0 : 1;
        }
        if (prints) {
            print(line, samples, targets);
        }
    }
    TD_MPI(MPI_Comm_free(&raw));
    return missed;
}

Options options_from(int argc, char** argv) {
    Options options;
    for (int i = 1; i < argc; ++i) {
        const std::string name = argv[i];
        if (name == "--check") {
            options.checks = true;
            continue;
        }
        const std::string value = i + 1 < argc ? argv[++i] : "";
        if (name == "--only") {
            options.only = value;
        } else if (name == "--smallest") {
            options.smallest = std::stoll(value) * kib;
        } else if (name == "--largest") {
            options.largest = std::stoll(value) * mib;
        } else {
            throw ConfigError(
                {fmt::format("unknown option {} see the head of shm_bench.cpp", name)});
        }
    }
    return options;
}

}  // namespace

}  // namespace traindyno::bench

int main(int argc, char** argv) {
    traindyno::MpiSession session(argc, argv);
    try {
        const auto options = traindyno::bench::options_from(argc, argv);
        const int missed = traindyno::bench::run(session, options);
        if (session.rank() == traindyno::WorldRank{0}) {
            fmt::print("targets missed: {}\n", missed);
        }
        return options.checks && missed > 0 ? 1 : 0;
    } catch (const std::exception& error) {
        session.abort(static_cast<int>(traindyno::ExitCode::internal), error.what());
    }
}
