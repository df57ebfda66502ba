// SPDX-License-Identifier: Apache-2.0
// How much of a background all-reduce hides behind compute, and what its progress costs the
// compute: mpirun -n 2 --bind-to none all_reduce_overlap_bench [CARRIER...]. One rank computes, on
// a core of its own; the communication of all ranks shares the spare core.
#include <array>
#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <sched.h>

#include "emulator/base/error.hpp"
#include "tests/bench/all_reduce_timing.hpp"
#include "tests/bench/carried.hpp"

namespace traindyno::bench {

namespace {

using Clock = std::chrono::steady_clock;

/// Between two looks, as Engine::idle waits while its device computes.
constexpr std::chrono::microseconds pause{200};
constexpr int rounds = 9;

double since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

void bind_to(std::size_t core) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    TD_EXPECT(sched_setaffinity(0, sizeof set, &set) == 0);
}

/// Arithmetic in registers, so that only the core itself is shared.
void compute(std::int64_t steps) {
    std::array<float, 8> x{1, 2, 3, 4, 5, 6, 7, 8};
    for (std::int64_t step = 0; step < steps; ++step) {
        for (float& each : x) {
            each = each * 0.999F + 0.001F;
        }
    }
    std::atomic<float> kept{x[0]};
    TD_EXPECT(kept.load() > 0);
}

/// Seconds that `steps` take on the computing core, beside what this thread does with `beside`.
template <class Beside>
double compute_beside(std::int64_t steps, Beside&& beside) {
    double seconds = 0;
    std::thread worker([&] {
        bind_to(0);
        const auto start = Clock::now();
        compute(steps);
        seconds = since(start);
    });
    beside();
    worker.join();
    return seconds;
}

void reduce(Communicator& group, std::vector<float>& buffer) {
    const std::span<std::byte> bytes = std::as_writable_bytes(std::span{buffer});
    Pending pending =
        group.all_reduce(bytes, bytes, DType::fp32, Reduction::sum, Urgency::background);
    while (!pending.done()) {
        std::this_thread::sleep_for(pause);
    }
}

struct Overlap {
    double alone = 0;     ///< seconds of the all-reduce
    double hidden = 0;    ///< share of it that adds nothing to the compute's time
    double slowdown = 0;  ///< of the compute beside it
};

/// On the computing rank; the others take part in the all-reduces.
Overlap measure(Communicator& world, Communicator& group, std::int64_t bytes) {
    std::vector<float> buffer(static_cast<std::size_t>(bytes) / sizeof(float));
    const bool computes = world.rank() == GroupRank{0};
    constexpr std::int64_t trial = 1'000'000;
    const double per_step = compute_beside(trial, [] {}) / static_cast<double>(trial);
    reduce(group, buffer);
    std::vector<double> alone;
    std::vector<double> hidden;
    std::vector<double> slowdown;
    for (int round = 0; round < rounds; ++round) {
        const double reducing = seconds_of(world, [&] { reduce(group, buffer); });
        // Twice as much compute as communication: what does not hide then is not for lack of time.
        const auto steps = computes ? static_cast<std::int64_t>(2 * reducing / per_step) : 0;
        const double computing = compute_beside(steps, [] {});
        double beside = 0;
        const double both = seconds_of(
            world, [&] { beside = compute_beside(steps, [&] { reduce(group, buffer); }); });
        alone.push_back(reducing);
        hidden.push_back((reducing + computing - both) / reducing);
        slowdown.push_back(computing > 0 ? beside / computing - 1 : 0);
    }
    return {.alone = median(alone), .hidden = median(hidden), .slowdown = median(slowdown)};
}

void run(const MpiSession& session, const std::vector<std::string>& names) {
    bind_to(std::thread::hardware_concurrency() > 1 ? 1 : 0);
    const std::unique_ptr<Communicator> world = session.world();
    for (const std::string& name : names) {
        const std::unique_ptr<Communicator> group = carried_by(name, session);
        for (const std::int64_t mebibytes : {1, 16}) {
            const Overlap overlap = measure(*world, *group, mebibytes << 20);
            if (session.rank() == WorldRank{0}) {
                fmt::print(
                    "{:<18} {:>3} MiB  {:>8.2f} ms alone  {:>5.1f} % hidden  compute {:+.1f} %\n",
                    name,
                    mebibytes,
                    1e3 * overlap.alone,
                    100 * overlap.hidden,
                    100 * overlap.slowdown);
            }
        }
    }
}

}  // namespace

}  // namespace traindyno::bench

int main(int argc, char** argv) {
    traindyno::MpiSession session(argc, argv);
    try {
        traindyno::bench::run(session, traindyno::bench::carriers_named(argc, argv));
    } catch (const std::exception& error) {
        session.abort(static_cast<int>(traindyno::ExitCode::internal), error.what());
    }
}
