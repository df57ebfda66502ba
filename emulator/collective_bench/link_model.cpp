// SPDX-License-Identifier: Apache-2.0
#include "emulator/collective_bench/link_model.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include <fmt/format.h>

#include "collectives/control.hpp"
#include "collectives/reduce/reduce.hpp"
#include "emulator/base/error.hpp"
#include "emulator/collective_bench/measure_collectives.hpp"
#include "emulator/study/statistics.hpp"

namespace traindyno {

namespace {

constexpr std::size_t short_message = 8;
constexpr std::size_t long_message = std::size_t{1} << 20;

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

std::optional<Algorithm> algorithm_of(std::string_view backend,
                                      CollectiveOp op,
                                      std::int64_t bytes,
                                      std::int64_t ranks) {
    if (backend == "mpi") {
        return usual_algorithm(op, bytes, ranks);
    }
    for (const Algorithm algorithm : {Algorithm::ring,
                                      Algorithm::recursive_doubling,
                                      Algorithm::halving_doubling,
                                      Algorithm::double_tree}) {
        if (backend == to_string(algorithm)) {
            return algorithm_for(algorithm, op);
        }
    }
    return std::nullopt;
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
    const std::span<std::byte> bytes = std::as_writable_bytes(std::span(seconds));
    Pending slowest =
        messages.all_reduce(bytes, bytes, DType::fp64, Reduction::max, Urgency::immediate);
    while (!slowest.done()) {
    }
    constexpr auto length = static_cast<double>(long_message);
    return {.alpha = seconds[0],
            .beta = std::max(seconds[1] - seconds[0], 0.0) / length,
            .gamma = seconds[2] / length};
}

BenchModel model_of(const LinkModel& link) {
    return [link](std::string_view backend,
                  BenchOp bench_op,
                  Bytes bytes,
                  std::int64_t ranks) -> std::optional<double> {
        const auto op = parse_enum<CollectiveOp>(to_string(bench_op));
        const auto algorithm =
            algorithm_of(backend, op.value_or(CollectiveOp::all_reduce), bytes.value(), ranks);
        if (!algorithm) {
            return std::nullopt;
        }
        if (!op) {
            return link.alpha + link.beta * static_cast<double>(bytes.value());
        }
        const Chunking chunking =
            backend == "mpi"
                ? Chunking{}
                : chunking_for(*algorithm, *op, bytes.value(), ranks, element_size(DType::fp32));
        return seconds(cost_of(*algorithm, *op, bytes.value(), ranks, chunking), link);
    };
}

std::string describe(const LinkModel& link) {
    constexpr double nano = 1e9;
    return fmt::format("alpha {:.2f} us, beta {:.3f} ns/B, gamma {:.3f} ns/B",
                       link.alpha * micro,
                       link.beta * nano,
                       link.gamma * nano);
}

}  // namespace traindyno
