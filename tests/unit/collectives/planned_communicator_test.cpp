// SPDX-License-Identifier: Apache-2.0
// Plans run on numbers: pretended ranks in one process, against a reference in fp64.
#include "collectives/algorithms/planned_communicator.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collectives/cost/cost.hpp"
#include "collectives/half_types.hpp"
#include "collectives/patient_wait.hpp"
#include "emulator/base/error.hpp"
#include "tests/unit/collectives/fake_network.hpp"

namespace traindyno::test {

namespace {

using ByteVector = std::vector<std::byte>;

/// Calls `use(T{})` for the C++ type.
template <class Use>
void with_type(DType type, Use&& use) {
    switch (type) {
        case DType::fp32:
            return use(float{});
        case DType::bf16:
            return use(Bf16{});
        case DType::fp16:
            return use(Fp16{});
        case DType::fp64:
            return use(double{});
        case DType::int32:
            return use(std::int32_t{});
        case DType::int64:
            return use(std::int64_t{});
    }
}

double load(DType type, const ByteVector& buffer, std::int64_t index) {
    double result = 0;
    with_type(type, [&]<class T>(T value) {
        std::memcpy(&value, buffer.data() + static_cast<std::size_t>(index) * sizeof(T), sizeof(T));
        if constexpr (std::is_same_v<T, Bf16> || std::is_same_v<T, Fp16>) {
            result = to_float(value);
        } else {
            result = static_cast<double>(value);
        }
    });
    return result;
}

void store(DType type, ByteVector& buffer, std::int64_t index, double number) {
    with_type(type, [&]<class T>(T value) {
        if constexpr (std::is_same_v<T, Bf16>) {
            value = to_bf16(static_cast<float>(number));
        } else if constexpr (std::is_same_v<T, Fp16>) {
            value = to_fp16(static_cast<float>(number));
        } else {
            value = static_cast<T>(number);
        }
        std::memcpy(buffer.data() + static_cast<std::size_t>(index) * sizeof(T), &value, sizeof(T));
    });
}

/// Half the distance from 1 to the next number; 0 for integers. 16-bit types first round to fp32.
double unit_roundoff(DType type) {
    switch (type) {
        case DType::fp32:
            return 0x1p-24;
        case DType::bf16:
            return 0x1p-8 + 0x1p-24;
        case DType::fp16:
            return 0x1p-11 + 0x1p-24;
        case DType::fp64:
            return 0x1p-53;
        case DType::int32:
        case DType::int64:
            break;
    }
    return 0;
}

/// An all_reduce or reduce_scatter of numbers.
struct Trial {
    CollectiveOp op = CollectiveOp::all_reduce;
    DType type = DType::fp32;
    Reduction reduction = Reduction::sum;
    bool in_place = false;
    std::int64_t ranks = 1;
    std::int64_t count = 0;  ///< elements of a result
};

std::string describe(const Trial& trial) {
    return fmt::format("{} {} {}{}, {} ranks x {}",
                       to_string(trial.op),
                       to_string(trial.type),
                       to_string(trial.reduction),
                       trial.in_place ? " in place" : "",
                       trial.ranks,
                       trial.count);
}

/// Until all are complete; each is asked in turn, as ranks that run side by side would.
void finish_all(std::vector<Pending>& pending) {
    bool all_done = false;
    while (!all_done) {
        all_done = true;
        for (Pending& one : pending) {
            all_done = one.done() && all_done;
        }
    }
}

/// The ranks of one group over a fake network.
class Ranks {
  public:
    Ranks(std::int64_t count, Algorithm algorithm, ChunkingRule chunking) {
        for (std::unique_ptr<Communicator>& rank : network_->ranks(count)) {
            ranks_.push_back(make_planned_communicator(std::move(rank), algorithm, chunking));
        }
    }

    [[nodiscard]] Communicator& operator[](std::int64_t rank) {
        return *ranks_[static_cast<std::size_t>(rank)];
    }

    [[nodiscard]] std::int64_t size() const { return static_cast<std::int64_t>(ranks_.size()); }

  private:
    std::shared_ptr<FakeNetwork> network_ = FakeNetwork::create();
    std::vector<std::unique_ptr<Communicator>> ranks_;
};

/// Inputs of all ranks and where the results go.
struct Buffers {
    std::vector<ByteVector> in;
    std::vector<ByteVector> out;
};

Buffers random_inputs(const Trial& trial) {
    std::mt19937 random{3};
    std::uniform_real_distribution<double> numbers{-9, 9};
    const std::int64_t parts = trial.op == CollectiveOp::reduce_scatter ? trial.ranks : 1;
    Buffers buffers;
    for (std::int64_t rank = 0; rank < trial.ranks; ++rank) {
        ByteVector in(static_cast<std::size_t>(trial.count * parts * element_size(trial.type)));
        for (std::int64_t i = 0; i < trial.count * parts; ++i) {
            store(trial.type, in, i, numbers(random));
        }
        buffers.in.push_back(std::move(in));
        buffers.out.emplace_back(static_cast<std::size_t>(trial.count * element_size(trial.type)));
    }
    return buffers;
}

/// Runs the trial; afterwards `out` holds the results. In place, inputs are overwritten.
void run(Ranks& ranks, const Trial& trial, Buffers& buffers) {
    std::vector<ByteVector> memory = buffers.in;
    std::vector<std::span<std::byte>> results;
    std::vector<Pending> pending;
    for (std::int64_t rank = 0; rank < trial.ranks; ++rank) {
        const auto at = static_cast<std::size_t>(rank);
        const std::size_t size = buffers.out[at].size();
        const bool scatters = trial.op == CollectiveOp::reduce_scatter;
        const std::size_t offset = scatters ? at * size : 0;
        results.push_back(trial.in_place ? std::span{memory[at]}.subspan(offset, size)
                                         : std::span{buffers.out[at]});
        const auto call = scatters ? &Communicator::reduce_scatter : &Communicator::all_reduce;
        pending.push_back((ranks[rank].*call)(
            memory[at], results[at], trial.type, trial.reduction, Urgency::background));
    }
    finish_all(pending);
    for (std::size_t rank = 0; rank < results.size(); ++rank) {
        if (trial.in_place) {
            std::copy(results[rank].begin(), results[rank].end(), buffers.out[rank].begin());
        } else {
            EXPECT_EQ(memory[rank], buffers.in[rank]) << "the input changed";
        }
    }
}

/// Compares element `index` of the inputs, reduced in fp64, with `found`.
void expect_within_bound(const Trial& trial,
                         const Buffers& buffers,
                         std::int64_t index,
                         double found,
                         std::int64_t most_roundings) {
    double sum = 0;
    double magnitudes = 0;
    double largest = -std::numeric_limits<double>::infinity();
    for (const ByteVector& in : buffers.in) {
        const double value = load(trial.type, in, index);
        sum += value;
        magnitudes += std::abs(value);
        largest = std::max(largest, value);
    }
    if (trial.reduction == Reduction::max) {
        EXPECT_EQ(found, largest) << describe(trial);
        return;
    }
    const double unit = unit_roundoff(trial.type);
    auto roundings = static_cast<double>(most_roundings);
    if (trial.reduction == Reduction::average) {
        sum /= static_cast<double>(trial.ranks);
        magnitudes /= static_cast<double>(trial.ranks);
        roundings += 1;
        sum = unit == 0 ? std::trunc(sum) : sum;
    }
    // The reference has roundings of its own.
    const double reference = static_cast<double>(trial.ranks) * 0x1p-53 * magnitudes;
    const double bound = roundings * unit / (1 - roundings * unit) * magnitudes;
    EXPECT_LE(std::abs(found - sum), bound + (unit == 0 ? 0 : reference)) << describe(trial);
}

void check(Ranks& ranks, const Trial& trial, Algorithm algorithm) {
    Buffers buffers = random_inputs(trial);
    run(ranks, trial, buffers);
    const std::int64_t most = roundings(algorithm, trial.op, trial.ranks);
    for (std::int64_t rank = 0; rank < trial.ranks; ++rank) {
        const ByteVector& out = buffers.out[static_cast<std::size_t>(rank)];
        const bool scatters = trial.op == CollectiveOp::reduce_scatter;
        for (std::int64_t i = 0; i < trial.count; ++i) {
            const std::int64_t index = scatters ? rank * trial.count + i : i;
            expect_within_bound(trial, buffers, index, load(trial.type, out, i), most);
        }
        if (!scatters) {
            EXPECT_EQ(out, buffers.out.front()) << "members disagree: " << describe(trial);
        }
    }
}

/// Strands as of a large message; plans that are never cut have one.
Chunking three_strands(Algorithm algorithm,
                       CollectiveOp op,
                       std::int64_t bytes,
                       std::int64_t ranks,
                       std::int64_t element_size) {
    constexpr std::int64_t large = std::int64_t{1} << 40;
    const bool cuts = chunking_for(algorithm, op, large, ranks, element_size).strands > 1;
    return cuts && bytes > 0 ? Chunking{.strands = 3, .lanes = 2} : Chunking{};
}

class PlannedCommunicator : public testing::TestWithParam<Algorithm> {};

TEST_P(PlannedCommunicator, reduces_every_type_within_its_bound) {
    for (const std::int64_t size : {1, 2, 3, 8, 17}) {
        for (const ChunkingRule chunking : {&chunking_for, &three_strands}) {
            Ranks ranks{size, GetParam(), chunking};
            for (std::size_t type = 0; type < enum_count<DType>; ++type) {
                for (std::size_t reduction = 0; reduction < enum_count<Reduction>; ++reduction) {
                    for (const std::int64_t count : {0, 1, 16, 37}) {
                        for (const bool in_place : {false, true}) {
                            Trial trial{.type = static_cast<DType>(type),
                                        .reduction = static_cast<Reduction>(reduction),
                                        .in_place = in_place,
                                        .ranks = size,
                                        .count = count};
                            check(ranks, trial, GetParam());
                            trial.op = CollectiveOp::reduce_scatter;
                            check(ranks, trial, GetParam());
                        }
                    }
                }
            }
        }
    }
}

TEST_P(PlannedCommunicator, operations_complete_in_whatever_order_ranks_wait) {
    constexpr std::int64_t operations = 6;
    constexpr std::size_t count = 50;
    Ranks ranks{5, GetParam(), &three_strands};
    std::vector<std::vector<std::vector<float>>> buffers(5);
    std::vector<std::vector<Pending>> pending(5);
    for (std::int64_t rank = 0; rank < ranks.size(); ++rank) {
        const auto at = static_cast<std::size_t>(rank);
        for (std::int64_t i = 0; i < operations; ++i) {
            std::vector<float>& buffer =
                buffers[at].emplace_back(count, static_cast<float>((rank + 1) * (i + 1)));
            const std::span<std::byte> bytes = std::as_writable_bytes(std::span{buffer});
            pending[at].push_back(ranks[rank].all_reduce(
                bytes, bytes, DType::fp32, Reduction::sum, Urgency::background));
        }
    }
    // Each rank waits for its operations one by one, in an order of its own.
    std::size_t left = pending.size() * pending.front().size();
    for (int looks = 0; left > 0 && looks < 100'000; ++looks) {
        const std::size_t rank = static_cast<std::size_t>(looks) % pending.size();
        std::vector<Pending>& mine = pending[rank];
        if (!mine.empty() && (rank % 2 == 0 ? mine.front() : mine.back()).done()) {
            mine.erase(rank % 2 == 0 ? mine.begin() : mine.end() - 1);
            --left;
        }
    }
    ASSERT_EQ(left, 0U) << "ranks withhold operations from one another";
    for (const std::vector<std::vector<float>>& of_rank : buffers) {
        for (std::size_t i = 0; i < of_rank.size(); ++i) {
            EXPECT_EQ(of_rank[i], std::vector<float>(count, static_cast<float>(15 * (i + 1))));
        }
    }
}

INSTANTIATE_TEST_SUITE_P(All,
                         PlannedCommunicator,
                         testing::Values(Algorithm::ring,
                                         Algorithm::recursive_doubling,
                                         Algorithm::halving_doubling,
                                         Algorithm::double_tree),
                         [](const testing::TestParamInfo<Algorithm>& each) {
                             return std::string(to_string(each.param));
                         });

TEST(PlannedCommunicatorHang, names_the_member_that_never_came) {
    Ranks ranks{4, Algorithm::ring, &chunking_for};
    std::vector<std::vector<float>> buffers(4, std::vector<float>(8));
    std::vector<Pending> pending;
    const auto join = [&](std::int64_t rank) {
        const std::span<std::byte> bytes =
            std::as_writable_bytes(std::span{buffers[static_cast<std::size_t>(rank)]});
        pending.push_back(
            ranks[rank].all_reduce(bytes, bytes, DType::fp32, Reduction::sum, Urgency::background));
    };
    for (const std::int64_t rank : {0, 1, 3}) {
        join(rank);
    }
    Pending& next_on_the_ring = pending.back();
    EXPECT_THAT(
        [&] { wait_patiently(next_on_the_ring, {.timeout = std::chrono::milliseconds{5}}); },
        testing::ThrowsMessage<HangError>(testing::HasSubstr("rank 2 of the group")));
    join(2);
    finish_all(pending);
}

TEST(PlannedCommunicatorTags, go_round_without_mixing_operations_up) {
    Ranks ranks{2, Algorithm::ring, &three_strands};
    // 2 tags each: beyond 32768 tags they begin again.
    for (std::int64_t i = 0; i < 20'000; ++i) {
        std::vector<std::vector<std::int64_t>> buffers(2, std::vector<std::int64_t>(6, i));
        std::vector<Pending> pending;
        for (std::int64_t rank = 0; rank < 2; ++rank) {
            const std::span<std::byte> bytes =
                std::as_writable_bytes(std::span{buffers[static_cast<std::size_t>(rank)]});
            pending.push_back(ranks[rank].all_reduce(
                bytes, bytes, DType::int64, Reduction::sum, Urgency::background));
        }
        finish_all(pending);
        ASSERT_EQ(buffers.front(), std::vector<std::int64_t>(6, 2 * i));
        ASSERT_EQ(buffers.back(), buffers.front());
    }
}

}  // namespace

}  // namespace traindyno::test
