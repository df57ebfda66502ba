// SPDX-License-Identifier: Apache-2.0
#include "collectives/auto/link_bound.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include <sched.h>

#include "emulator/base/error.hpp"

namespace traindyno {

namespace {

/// Short enough for no library to ask the receiver first, which would take two delays more.
constexpr std::size_t message = std::size_t{32} << 10;
constexpr int messages_in_a_row = 8;
constexpr std::size_t short_message = 8;
constexpr int short_exchanges = 5;
/// The first ones open TCP's window and use up what a shaped link lets pass at once.
constexpr int long_exchanges = 4;
constexpr int of_them_warm = 2;

std::optional<Algorithm> algorithm_of(Carrier carrier, CollectiveOp op) {
    switch (carrier) {
        case Carrier::ring:
            return algorithm_for(Algorithm::ring, op);
        case Carrier::recursive_doubling:
            return algorithm_for(Algorithm::recursive_doubling, op);
        case Carrier::halving_doubling:
            return algorithm_for(Algorithm::halving_doubling, op);
        case Carrier::double_tree:
            return algorithm_for(Algorithm::double_tree, op);
        case Carrier::hierarchical:  // a ring across; has no all_to_all
            return op == CollectiveOp::all_to_all
                       ? std::nullopt
                       : std::optional(algorithm_for(Algorithm::ring, op));
        case Carrier::mpi:
        case Carrier::shm:
            break;
    }
    return std::nullopt;
}

void finish(Pending pending) {
    while (!pending.done()) {
        sched_yield();
    }
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
        finish(std::move(each));
    }
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

LinkModel measure_links_of_nodes(Communicator& messages, const NodeMap& map) {
    const GroupRank rank = messages.rank();
    const auto nodes = static_cast<std::int32_t>(map.shape().nodes);
    TD_EXPECT(nodes > 1);
    // Negative, for the largest is what an all-reduce finds.
    constexpr double never = 1e9;
    std::array least{-never, -never};
    if (map.local_rank(rank) == 0) {
        const std::int32_t node = map.node(rank);
        const GroupRank next = map.rank_at((node + 1) % nodes, 0);
        const GroupRank previous = map.rank_at((node + nodes - 1) % nodes, 0);
        for (int i = 0; i < short_exchanges; ++i) {
            least[0] =
                std::max(least[0], -exchange_seconds(messages, next, previous, short_message, 1));
        }
        for (int i = 0; i < long_exchanges; ++i) {
            const double seconds =
                exchange_seconds(messages, next, previous, message, messages_in_a_row);
            least[1] = i < of_them_warm ? least[1] : std::max(least[1], -seconds);
        }
    }
    const std::span<std::byte> bytes = std::as_writable_bytes(std::span(least));
    finish(messages.all_reduce(bytes, bytes, DType::fp64, Reduction::max, Urgency::immediate));
    constexpr auto moved = static_cast<double>(messages_in_a_row * message);
    return {.alpha = -least[0], .beta = std::max(least[0] - least[1], 0.0) / moved};
}

LeastSeconds least_on_links(const GroupShape& shape, const LinkModel& link) {
    if (shape.nodes == 1) {
        return {};
    }
    return [shape, link](Carrier carrier, CollectiveOp op, std::int64_t bytes) {
        const std::optional<Algorithm> algorithm = algorithm_of(carrier, op);
        if (!algorithm) {
            return 0.0;
        }
        const Cost cost = cost_of(*algorithm, op, bytes, shape.nodes);
        return link.alpha * static_cast<double>(cost.rounds) +
               link.beta * static_cast<double>(cost.bytes);
    };
}

}  // namespace traindyno
