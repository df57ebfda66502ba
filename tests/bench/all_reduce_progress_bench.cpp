// SPDX-License-Identifier: Apache-2.0
// How fast a background all-reduce moves when the rank looks at it only now and then, against the
// blocking one in the same run: mpirun -n 2 all_reduce_progress_bench [CARRIER...].
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "emulator/base/error.hpp"
#include "tests/bench/all_reduce_timing.hpp"
#include "tests/bench/carried.hpp"

namespace traindyno::bench {

namespace {

using std::chrono::microseconds;
using Clock = std::chrono::steady_clock;

/// What the rank does between two looks.
enum class Between : std::uint8_t { nothing, sleeps, computes };

struct Way {
    Between between = Between::nothing;
    microseconds pause{0};
};

struct Result {
    double seconds = 0;  ///< median
    double ratio = 0;    ///< to the blocking call, the median of the rounds
    double looks = 0;    ///< mean
};

void pass(const Way& way) {
    const auto until = Clock::now() + way.pause;
    if (way.between == Between::sleeps) {
        std::this_thread::sleep_until(until);
    }
    while (Clock::now() < until) {
    }
}

void blocking(Communicator& world, std::vector<float>& buffer) {
    const std::span<std::byte> bytes = std::as_writable_bytes(std::span{buffer});
    Pending pending =
        world.all_reduce(bytes, bytes, DType::fp32, Reduction::sum, Urgency::immediate);
    TD_EXPECT(pending.done());
}

/// Looks needed.
int in_background(Communicator& world, std::vector<float>& buffer, const Way& way) {
    const std::span<std::byte> bytes = std::as_writable_bytes(std::span{buffer});
    Pending pending =
        world.all_reduce(bytes, bytes, DType::fp32, Reduction::sum, Urgency::background);
    int looks = 1;
    while (!pending.done()) {
        pass(way);
        ++looks;
    }
    return looks;
}

const std::vector<Way>& ways() {
    static const std::vector<Way> all{
        {},
        {Between::sleeps, microseconds{50}},
        {Between::sleeps, microseconds{200}},
        {Between::sleeps, microseconds{1000}},
        {Between::computes, microseconds{10}},
        {Between::computes, microseconds{50}},
        {Between::computes, microseconds{200}},
        {Between::computes, microseconds{1000}},
    };
    return all;
}

std::string name_of(const Way& way) {
    switch (way.between) {
        case Between::nothing:
            return "looks all the time";
        case Between::sleeps:
            return fmt::format("sleeps {} us", way.pause.count());
        case Between::computes:
            return fmt::format("computes {} us", way.pause.count());
    }
    return "";
}

/// The blocking call's time, then each way's: round by round, so that all see the same machine.
std::vector<Result> measure(Communicator& world, std::int64_t bytes, int rounds) {
    std::vector<float> buffer(static_cast<std::size_t>(bytes) / sizeof(float));
    std::vector<std::vector<double>> seconds(ways().size() + 1);
    std::vector<Result> results(ways().size() + 1);
    blocking(world, buffer);
    for (int round = 0; round < rounds; ++round) {
        seconds[0].push_back(seconds_of(world, [&] { blocking(world, buffer); }));
        for (std::size_t i = 0; i < ways().size(); ++i) {
            int looks = 0;
            seconds[i + 1].push_back(
                seconds_of(world, [&] { looks = in_background(world, buffer, ways()[i]); }));
            results[i + 1].looks += static_cast<double>(looks) / rounds;
        }
    }
    const std::vector<double> base = slowest(world, seconds[0]);
    for (std::size_t i = 0; i < results.size(); ++i) {
        const std::vector<double> samples = slowest(world, seconds[i]);
        results[i].seconds = median(samples);
        results[i].ratio = median_ratio(samples, base);
    }
    return results;
}

void run(const MpiSession& session, const std::string& carrier) {
    const std::unique_ptr<Communicator> world = carried_by(carrier, session);
    const bool prints = session.rank() == WorldRank{0};
    if (prints) {
        fmt::print("{}, {} ranks, {}, fp32 sum in place\n",
                   MpiSession::version(),
                   session.size(),
                   carrier);
    }
    for (const std::int64_t mebibytes : {1, 16, 64}) {
        const std::vector<Result> results =
            measure(*world, mebibytes << 20, mebibytes > 16 ? 7 : 15);
        if (!prints) {
            continue;
        }
        fmt::print("{} MiB: blocking {:.2f} ms\n", mebibytes, 1e3 * results[0].seconds);
        for (std::size_t i = 0; i < ways().size(); ++i) {
            const Result& result = results[i + 1];
            fmt::print("  {:<20} {:>9.2f} ms  {:>6.2f} x blocking  {:>7.0f} looks\n",
                       name_of(ways()[i]),
                       1e3 * result.seconds,
                       result.ratio,
                       result.looks);
        }
    }
}

}  // namespace

}  // namespace traindyno::bench

int main(int argc, char** argv) {
    traindyno::MpiSession session(argc, argv);
    try {
        for (const std::string& carrier : traindyno::bench::carriers_named(argc, argv)) {
            traindyno::bench::run(session, carrier);
        }
    } catch (const std::exception& error) {
        session.abort(static_cast<int>(traindyno::ExitCode::internal), error.what());
    }
}
