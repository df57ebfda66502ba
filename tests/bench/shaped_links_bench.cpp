// SPDX-License-Identifier: Apache-2.0
// All-reduce over links of known speed, carriers in turns (tests/bench/shaped_links starts it):
// mpirun shaped_links_bench MBIT DELAY_MS [--check] [CARRIER...].
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
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
    std::function<void(std::span<std::byte>)> all_reduce;  ///< to its end
};

constexpr std::string_view exchange = "exchange";  ///< no all-reduce: what the links give here
constexpr double least_share_of_bound = 0.9;
constexpr std::int64_t bound_from = std::int64_t{16} << 20;
constexpr double most_above_best = 1.15;

std::string host_name() {
    std::array<char, 256> name{};
    TD_EXPECT(gethostname(name.data(), name.size() - 1) == 0);
    return name.data();
}

void finish(Pending pending) {
    while (!pending.done()) {
        sched_yield();
    }
}

Contestant reducing(std::string_view name, std::unique_ptr<Communicator> made) {
    return {.name = std::string(name),
            .all_reduce = [group = std::shared_ptr(std::move(made))](std::span<std::byte> bytes) {
                finish(group->all_reduce(
                    bytes, bytes, DType::fp32, Reduction::sum, Urgency::immediate));
            }};
}

/// Each node sends to the next, and receives from the one before, the bytes that an all-reduce must
/// (the bound), in one message of each rank.
Contestant exchanging(Communicator& world, const NodeMap& map) {
    const std::int32_t node = map.node(world.rank());
    std::shared_ptr<Communicator> lane = world.split(map.local_rank(world.rank()), node);
    const auto nodes = static_cast<std::size_t>(lane->size());
    const auto each = static_cast<std::size_t>(map.shape().most);
    return {
        .name = std::string(exchange),
        .all_reduce = [lane,
                       nodes,
                       each,
                       node,
                       sent = std::vector<std::byte>(),
                       received = std::vector<std::byte>()](std::span<std::byte> bytes) mutable {
            const std::size_t moved = 2 * (nodes - 1) * bytes.size() / nodes / each;
            sent.resize(std::max(sent.size(), moved));
            received.resize(std::max(received.size(), moved));
            const auto last = static_cast<std::int64_t>(nodes) - 1;
            Pending coming = lane->recv(
                std::span(received).first(moved), GroupRank{node == 0 ? last : node - 1}, 0);
            Pending going = lane->send(std::span(sent).first(moved),
                                       GroupRank{node == last ? 0 : std::int64_t{node} + 1},
                                       0);
            finish(std::move(going));
            finish(std::move(coming));
        }};
}

/// What `auto` found for what this benchmark asks for.
void print_row(const TuningRow& row) {
    if (row.urgency != Urgency::immediate) {
        return;
    }
    fmt::print("auto {:>6} KiB: {}{}, ms",
               row.bytes / 1024,
               to_string(row.carrier),
               row.estimated ? " (extrapolated)" : "");
    for (std::size_t i = 0; i < row.seconds.size(); ++i) {
        if (row.seconds[i] > 0) {
            fmt::print(" {} {:.2f}", to_string(static_cast<Carrier>(i)), 1e3 * row.seconds[i]);
        }
    }
    fmt::print("\n");
}

/// Those named, or all.
std::vector<Contestant> contestants(const MpiSession& session,
                                    const std::string& node,
                                    const std::vector<std::string>& names) {
    const auto takes_part = [&](std::string_view name) {
        return names.empty() || std::find(names.begin(), names.end(), name) != names.end();
    };
    const std::unique_ptr<Communicator> world = session.world();
    std::vector<Contestant> all;
    all.push_back(exchanging(*world, NodeMap::gather(*world, node)));
    all.push_back(reducing("mpi", session.world()));
    for (const Candidate& candidate : host_carriers(node)) {
        const std::string_view name = to_string(candidate.carrier);
        if (candidate.carrier != Carrier::shm && takes_part(name)) {  // shm: one host only
            all.push_back(reducing(name, candidate.make(session.world())));
        }
    }
    if (!takes_part("auto")) {
        return all;
    }
    const auto table = std::make_shared<TuningTable>();
    const auto root = make_auto_communicator(session.world(),
                                             {.node = node,
                                              .candidates = host_carriers(node),
                                              .limits = {.largest = {largest_trial}},
                                              .table = table});
    std::unique_ptr<Communicator> chooser;
    const double seconds =
        slowest(*world, {seconds_of(*world, [&] {
            chooser = root->split(0, static_cast<std::int32_t>(session.rank().value()));
        })}).front();
    if (session.rank() == WorldRank{0}) {
        fmt::print("auto measured for {:.2f} s\n", seconds);
        for (const TuningRow& row : table->rows()) {
            print_row(row);
        }
    }
    all.push_back(reducing("auto", std::move(chooser)));
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
                    all[i].all_reduce(bytes);
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
    const double plain = seconds.front();
    fmt::print("{:>6} KiB", size.bytes / 1024);
    double best = seconds[1];
    for (std::size_t i = 0; i < all.size(); ++i) {
        fmt::print("  {:>10.2f}", 1e3 * seconds[i]);
        const bool competes = all[i].name != "auto" && all[i].name != exchange;
        best = competes ? std::min(best, seconds[i]) : best;
    }
    bool reached = true;
    for (std::size_t i = 0; i < all.size(); ++i) {
        if (all[i].name == "hierarchical" && bound > 0 && size.bytes >= bound_from) {
            const double share = bound / seconds[i];
            fmt::print(
                "  hierarchical {:.1f} % of the bound {:.1f} ms, {:.1f} % of the exchange "
                "({:.1f} % of the bound)",
                100 * share,
                1e3 * bound,
                100 * plain / seconds[i],
                100 * bound / plain);
            // What the links do not even give to a plain exchange, the machine is short of.
            const double possible = bound / plain >= least_share_of_bound ? 1 : bound / plain;
            const double wanted = least_share_of_bound * possible;
            reached = reached && share >= wanted;
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
