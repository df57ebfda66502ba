// SPDX-License-Identifier: Apache-2.0
#include "collectives/auto/link_bound.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>
#include <span>
#include <vector>

#include "collectives/patient_wait.hpp"
#include "emulator/base/error.hpp"

namespace traindyno {

namespace {

/// Short enough for no library to ask the receiver first, which would take two delays more.
constexpr std::size_t message = std::size_t{32} << 10;
constexpr std::size_t short_message = 8;
constexpr int short_exchanges = 5;
/// First some that open TCP's window and use up what a shaped link lets pass at once.
constexpr int warm_messages = 12;
constexpr int timed_messages = 16;

/// Of the messages between nodes.
std::optional<Algorithm> algorithm_of(Carrier carrier,
                                      CollectiveOp op,
                                      std::int64_t bytes,
                                      std::int64_t ranks) {
    if (carrier == Carrier::hierarchical && op != CollectiveOp::all_to_all) {  // has no such
        return algorithm_for(Algorithm::ring, op);
    }
    return message_algorithm(carrier, op, bytes, ranks);
}

/// Round by round something passes from each node to the next, whatever the ranks' order.
bool passes_all(Algorithm algorithm) {
    return algorithm == Algorithm::ring;
}

/// All ranks of a node exchange as much as a single one would.
bool exchanges(Algorithm algorithm) {
    return algorithm == Algorithm::recursive_doubling || algorithm == Algorithm::halving_doubling;
}

/// Seconds of `count` messages each way at once.
double exchange_seconds(
    Communicator& messages, GroupRank next, GroupRank previous, std::size_t bytes, int count) {
    constexpr std::int32_t tag = 0;
    const std::vector<std::byte> sent(bytes);
    std::vector<std::byte> received(bytes * static_cast<std::size_t>(count));
    const auto start = std::chrono::steady_clock::now();
    std::vector<Pending> pending;
    for (int i = 0; i < count; ++i) {
        pending.push_back(
            messages.recv(std::span(received).subspan(static_cast<std::size_t>(i) * bytes, bytes),
                          previous,
                          tag));
        pending.push_back(messages.send(sent, next, tag));
    }
    for (Pending& each : pending) {
        wait_awake(each);
    }
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

LinkModel measure_links_of_nodes(Communicator& messages, const NodeMap& map) {
    const GroupRank rank = messages.rank();
    const auto nodes = static_cast<std::int32_t>(map.shape().nodes);
    TD_EXPECT(nodes > 1);
    std::array seconds{0.0, 0.0};
    if (map.local_rank(rank) == 0) {
        const std::int32_t node = map.node(rank);
        const GroupRank next = map.rank_at((node + 1) % nodes, 0);
        const GroupRank previous = map.rank_at((node + nodes - 1) % nodes, 0);
        seconds[0] = 1;
        for (int i = 0; i < short_exchanges; ++i) {
            seconds[0] =
                std::min(seconds[0], exchange_seconds(messages, next, previous, short_message, 1));
        }
        static_cast<void>(exchange_seconds(messages, next, previous, message, warm_messages));
        seconds[1] = exchange_seconds(messages, next, previous, message, timed_messages);
    }
    // The mean: who begins late finds messages that have come already, who is early waits longer.
    const std::span<std::byte> bytes = std::as_writable_bytes(std::span(seconds));
    Pending summed =
        messages.all_reduce(bytes, bytes, DType::fp64, Reduction::sum, Urgency::immediate);
    wait_awake(summed);
    const double alpha = seconds[0] / nodes;
    constexpr auto moved = static_cast<double>(timed_messages * message);
    return {.alpha = alpha, .beta = std::max(seconds[1] / nodes - alpha, 0.0) / moved};
}

KnownCosts costs_on_links(const GroupShape& shape, const LinkModel& link) {
    TD_EXPECT(shape.nodes > 1);
    return [shape, link](Carrier carrier, CollectiveOp op, std::int64_t bytes) -> KnownCost {
        const std::optional<Algorithm> algorithm = algorithm_of(carrier, op, bytes, shape.ranks);
        if (!algorithm) {
            return {};
        }
        const bool all_pass = passes_all(*algorithm) && carrier != Carrier::hierarchical;
        const Cost cost = cost_of(*algorithm, op, bytes, all_pass ? shape.ranks : shape.nodes);
        const bool multiplies = exchanges(*algorithm) && op == CollectiveOp::all_reduce;
        const std::int64_t on_a_link = (multiplies ? shape.fewest : 1) * cost.bytes;
        const double seconds = link.alpha * static_cast<double>(cost.rounds) +
                               link.beta * static_cast<double>(on_a_link);
        return {.least = carrier == Carrier::mpi ? 0 : seconds, .typical = seconds};
    };
}

}  // namespace traindyno
