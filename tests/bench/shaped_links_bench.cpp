// SPDX-License-Identifier: Apache-2.0
// All-reduce over links of known speed, carriers in turns (tests/bench/shaped_links starts it):
// mpirun shaped_links_bench MBIT DELAY_MS [--check] [CARRIER...].
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include "collectives/auto/auto_communicator.hpp"
#include "collectives/auto/host_carriers.hpp"
#include "collectives/hierarchical/node_map.hpp"
#include "collectives/mpi/session.hpp"
#include "emulator/base/error.hpp"
#include "tests/bench/all_reduce_timing.hpp"

namespace traindyno::bench {

namespace {

struct Link {
    double megabits = 0;  ///< per second, each way
    double delay_ms = 0;
};

struct Size {
    std::int64_t bytes = 0;
    int repeats = 1;  ///< per round
    int rounds = 1;
};

struct Contestant {
    std::string name;
    std::unique_ptr<Communicator> group;
};

constexpr double least_share_of_bound = 0.9;
constexpr std::int64_t bound_from = std::int64_t{16} << 20;
constexpr double most_above_best = 1.1;
/// Links this slow and late take longer than the default to tell carriers apart at 1 MiB.
constexpr double tuning_seconds = 10;

std::string host_name() {
    std::array<char, 256> name{};
    TD_EXPECT(gethostname(name.data(), name.size() - 1) == 0);
    return name.data();
}

/// Those named, or all.
std::vector<Contestant> contestants(const MpiSession& session,
                                    const std::string& node,
                                    const std::vector<std::string>& names) {
    const auto takes_part = [&](std::string_view name) {
        return names.empty() || std::find(names.begin(), names.end(), name) != names.end();
    };
    std::vector<Contestant> all;
    all.push_back({"mpi", session.world()});
    for (const Candidate& candidate : host_carriers(node)) {
        const std::string_view name = to_string(candidate.carrier);
        if (candidate.carrier != Carrier::shm && takes_part(name)) {  // shm: one host only
            all.push_back({std::string(name), candidate.make(session.world())});
        }
    }
    if (!takes_part("auto")) {
        return all;
    }
    const auto table = std::make_shared<TuningTable>();
    const auto root =
        make_auto_communicator(session.world(),
                               {.node = node,
                                .candidates = host_carriers(node),
                                .limits = {.seconds = tuning_seconds, .largest = {largest_trial}},
                                .table = table});
    const double seconds = slowest(*all.front().group, {seconds_of(*all.front().group, [&] {
                               all.push_back({"auto", root->split(0, session.rank().value())});
                           })}).front();
    if (session.rank() == WorldRank{0}) {
        fmt::print("auto measured for {:.1f} s\n", seconds);
    }
    return all;
}

/// Median seconds of each contestant, in turns.
std::vector<double> measure(Communicator& world, std::vector<Contestant>& all, const Size& size) {
    std::vector<float> buffer(static_cast<std::size_t>(size.bytes) / sizeof(float));
    const std::span<std::byte> bytes = std::as_writable_bytes(std::span{buffer});
    std::vector<std::vector<double>> samples(all.size());
    for (int round = 0; round <= size.rounds; ++round) {
        for (std::size_t i = 0; i < all.size(); ++i) {
            const double seconds = seconds_of(world, [&] {
                for (int repeat = 0; repeat < size.repeats; ++repeat) {
                    Pending pending = all[i].group->all_reduce(
                        bytes, bytes, DType::fp32, Reduction::sum, Urgency::immediate);
                    while (!pending.done()) {
                        sched_yield();
                    }
                }
            });
            if (round > 0) {  // the first one warms up
                samples[i].push_back(seconds / size.repeats);
            }
        }
    }
    std::vector<double> medians;
    for (std::vector<double>& own : samples) {
        medians.push_back(median(slowest(world, std::move(own))));
    }
    return medians;
}

/// Prints a size; returns whether its targets were reached.
bool report(const std::vector<Contestant>& all,
            const std::vector<double>& seconds,
            const Size& size,
            double bound) {
    fmt::print("{:>6} KiB", size.bytes / 1024);
    double best = seconds.front();
    for (std::size_t i = 0; i < all.size(); ++i) {
        fmt::print("  {:>10.2f}", 1e3 * seconds[i]);
        best = all[i].name == "auto" ? best : std::min(best, seconds[i]);
    }
    bool reached = true;
    for (std::size_t i = 0; i < all.size(); ++i) {
        if (all[i].name == "hierarchical" && bound > 0 && size.bytes >= bound_from) {
            fmt::print("  hierarchical {:.1f} % of the bound {:.1f} ms",
                       100 * bound / seconds[i],
                       1e3 * bound);
            reached = reached && bound / seconds[i] >= least_share_of_bound;
        }
        if (all[i].name == "auto") {
            fmt::print("  auto {:.2f} x best", seconds[i] / best);
            reached = reached && seconds[i] / best <= most_above_best;
        }
    }
    fmt::print("{}\n", reached ? "" : "  MISSED");
    return reached;
}

/// Whether all targets were reached, on the first rank.
bool run(const MpiSession& session, const Link& link, const std::vector<std::string>& names) {
    const std::unique_ptr<Communicator> world = session.world();
    const std::string node = host_name();
    const auto nodes = static_cast<double>(NodeMap::gather(*world, node).shape().nodes);
    std::vector<Contestant> all = contestants(session, node, names);
    const bool prints = session.rank() == WorldRank{0};
    if (prints) {
        fmt::print("{} ranks on {} hosts, {} Mbit/s each way, {} ms late; {}\nmedian ms  ",
                   session.size(),
                   nodes,
                   link.megabits,
                   link.delay_ms,
                   MpiSession::version().substr(0, 20));
        for (const Contestant& each : all) {
            fmt::print("  {:>10.10}", each.name);
        }
        fmt::print("\n");
    }
    bool reached = true;
    for (const Size& size : {Size{4 << 10, 20, 9}, Size{1 << 20, 2, 7}, Size{16 << 20, 1, 5}}) {
        const std::vector<double> seconds = measure(*world, all, size);
        // Patarasuk and Yuan, JPDC 69(2), 2009, for hosts instead of ranks.
        const double bound = link.megabits > 0
                                 ? 2 * (nodes - 1) / nodes * static_cast<double>(8 * size.bytes) /
                                       (1e6 * link.megabits)
                                 : 0;
        if (prints) {
            reached = report(all, seconds, size, bound) && reached;
            std::fflush(stdout);
        }
    }
    return reached;
}

}  // namespace

}  // namespace traindyno::bench

int main(int argc, char** argv) {
    traindyno::MpiSession session(argc, argv);
    try {
        const traindyno::bench::Link link{.megabits = argc > 1 ? std::atof(argv[1]) : 0,
                                          .delay_ms = argc > 2 ? std::atof(argv[2]) : 0};
        std::vector<std::string> names(argv + std::min(argc, 3), argv + argc);
        const bool checks = std::erase(names, "--check") > 0;
        const bool reached = traindyno::bench::run(session, link, names);
        return reached || !checks ? 0 : 1;
    } catch (const std::exception& error) {
        session.abort(static_cast<int>(traindyno::ExitCode::internal), error.what());
    }
}
