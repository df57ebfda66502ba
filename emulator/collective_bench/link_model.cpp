// SPDX-License-Identifier: Apache-2.0
#include "emulator/collective_bench/link_model.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <optional>
#include <span>
#include <vector>

#include <fmt/format.h>

#include "collectives/auto/carrier.hpp"
#include "collectives/control.hpp"
#include "collectives/reduce/reduce.hpp"
#include "emulator/base/error.hpp"
#include "emulator/collective_bench/measure_collectives.hpp"
#include "emulator/study/statistics.hpp"

namespace traindyno {

namespace {

constexpr std::size_t short_message = 8;
constexpr std::size_t long_message = std::size_t{1} << 20;
constexpr std::size_t copied = std::size_t{16} << 20;  // more than caches keep of all ranks

/// Median seconds of `action` on this rank.
template <class Action>
double median_seconds(int repetitions, Action&& action) {
    std::vector<double> seconds;
    for (int i = 0; i < repetitions; ++i) {
        const auto begin = std::chrono::steady_clock::now();
        action();
        seconds.push_back(
            std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    }
    return median(seconds);
}

}  // namespace

LinkModel measure_link(Communicator& messages) {
    TD_EXPECT(messages.size() > 1);
    std::vector<std::byte> sent(long_message);
    std::vector<std::byte> received(long_message);
    OperationWatch watch(std::chrono::seconds{120});
    watch.name("an exchange of messages with both neighbours");
    const auto exchange = [&](std::size_t bytes) {
        run_once(messages,
                 {.op = BenchOp::sendrecv},
                 {.in = {sent.data(), bytes}, .out = {received.data(), bytes}},
                 watch);
    };
    exchange(long_message);
    barrier(messages, Urgency::immediate);
    std::array<double, 3> seconds{};
    seconds[0] = median_seconds(31, [&] { exchange(short_message); });
    seconds[1] = median_seconds(11, [&] { exchange(long_message); });
    seconds[2] = median_seconds(11, [&] {
        const std::array<const std::byte*, 2> inputs{sent.data(), received.data()};
        const std::array<std::byte*, 1> outputs{received.data()};
        reduce(inputs, outputs, long_message, {}, Stores::cached);
    });
    take_largest(messages, seconds);
    constexpr auto length = static_cast<double>(long_message);
    return {.alpha = seconds[0],
            .beta = std::max(seconds[1] - seconds[0], 0.0) / length,
            .gamma = seconds[2] / length};
}

LinkModel measure_memory(Communicator& shared) {
    TD_EXPECT(shared.size() > 1);
    OperationWatch watch(std::chrono::seconds{120});
    watch.name("an all-reduce of 8 bytes in shared memory");
    std::array<std::byte, 2 * short_message> ends{};
    const std::span<std::byte> both{ends};
    const OpBuffers phase{.in = both.first(short_message), .out = both.last(short_message)};
    std::vector<std::byte> from(copied);
    std::vector<std::byte> to(copied);
    std::array<double, 2> seconds{};
    seconds[0] = median_seconds(31, [&] { run_once(shared, {}, phase, watch); });
    barrier(shared, Urgency::immediate);
    seconds[1] = median_seconds(5, [&] { std::memcpy(to.data(), from.data(), copied); });
    take_largest(shared, seconds);
    return {.alpha = seconds[0], .beta = seconds[1] / (2.0 * copied), .gamma = 0};
}

BenchModel model_of(const BenchLinks& links) {
    return [links](std::string_view backend,
                   BenchOp bench_op,
                   Bytes bytes,
                   std::int64_t ranks) -> std::optional<double> {
        const auto op = parse_enum<CollectiveOp>(to_string(bench_op));
        const auto carrier = parse_enum<Carrier>(backend);
        if (!carrier) {
            return std::nullopt;
        }
        if (*carrier == Carrier::shm && op && links.memory) {
            const SharedWay way = shared_way(*op, bytes.value(), ranks, links.buffers);
            return seconds(shared_memory_cost(way.path, *op, bytes.value(), ranks, way.windows),
                           *links.memory);
        }
        const auto algorithm = message_algorithm(
            *carrier, op.value_or(CollectiveOp::all_reduce), bytes.value(), ranks);
        if (!algorithm) {
            return std::nullopt;
        }
        const LinkModel& link = links.messages;
        if (!op) {
            return link.alpha + link.beta * static_cast<double>(bytes.value());
        }
        const Chunking chunking =
            *carrier == Carrier::mpi
                ? Chunking{}
                : chunking_for(*algorithm, *op, bytes.value(), ranks, element_size(DType::fp32));
        return seconds(cost_of(*algorithm, *op, bytes.value(), ranks, chunking), link);
    };
}

std::string describe(const BenchLinks& links) {
    constexpr double nano = 1e9;
    std::string text = fmt::format(
        "alpha {:.2f} us, beta {:.3f} ns/B, gamma {:.3f} ns/B between neighbours, "
        "measured over MPI",
        links.messages.alpha * micro,
        links.messages.beta * nano,
        links.messages.gamma * nano);
    if (links.memory) {
        text += fmt::format("; in shared memory alpha {:.2f} us, beta {:.3f} ns/B",
                            links.memory->alpha * micro,
                            links.memory->beta * nano);
    }
    return text;
}

}  // namespace traindyno
