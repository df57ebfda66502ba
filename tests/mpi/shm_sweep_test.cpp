// SPDX-License-Identifier: Apache-2.0
// Every collective in shared memory, element type, reduction, count, placement and kind of memory,
// against sums in fp64. With 17 ranks: groups of every size from 1 to 17.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "collectives/shm/shm_communicator.hpp"
#include "tests/contract/communicator_contract.hpp"
#include "tests/contract/contract_values.hpp"
#include "tests/mpi/mpi_test.hpp"

namespace traindyno::test {

namespace {

/// Where the buffers of a call lie. `mixed`: in the heap on every other rank only.
enum class Memory : std::uint8_t { ordinary, heap, mixed };
enum class Place : std::uint8_t { apart, in_place };

constexpr std::array<Reduction, 3> reductions{Reduction::sum, Reduction::max, Reduction::average};
constexpr std::array<Memory, 3> memories{Memory::ordinary, Memory::heap, Memory::mixed};
constexpr std::array<Place, 2> places{Place::apart, Place::in_place};

template <class T>
double to_double(T value) {
    if constexpr (std::is_same_v<T, Bf16> || std::is_same_v<T, Fp16>) {
        return static_cast<double>(to_float(value));
    } else {
        return static_cast<double>(value);
    }
}

/// Element `i` of what `rank` contributes: of both signs, with fractions where the type has them.
template <class T>
T contribution(std::int64_t rank, std::int64_t i) {
    const std::int64_t value = (i * 7919 + rank * 104'729) % 1009 - 504;
    if constexpr (std::is_integral_v<T>) {
        return static_cast<T>(value);
    } else if constexpr (std::is_same_v<T, Bf16>) {
        return to_bf16(static_cast<float>(value) / 24.0F);
    } else if constexpr (std::is_same_v<T, Fp16>) {
        return to_fp16(static_cast<float>(value) / 24.0F);
    } else {
        return static_cast<T>(value) / static_cast<T>(24);
    }
}

/// Relative error of one rounding to T.
template <class T>
constexpr double unit = std::is_same_v<T, Bf16>     ? 0x1p-8
                        : std::is_same_v<T, Fp16>   ? 0x1p-11
                        : std::is_same_v<T, float>  ? 0x1p-24
                        : std::is_same_v<T, double> ? 0x1p-53
                                                    : 0.0;

struct Expected {
    double value = 0;
    double bound = 0;
};

/// The reduction of element `i` over `members`, and how far a result may be from it: n - 1
/// additions in fp32 (fp64), the division, and one rounding to T (Higham, Accuracy and Stability
/// of Numerical Algorithms, 2nd ed., section 4.2). Maxima and integers are exact.
template <class T>
Expected expected(std::int64_t members, std::int64_t i, Reduction reduction) {
    double sum = 0;
    double size = 0;
    double largest = to_double(contribution<T>(0, i));
    for (std::int64_t rank = 0; rank < members; ++rank) {
        const double value = to_double(contribution<T>(rank, i));
        sum += value;
        size += std::abs(value);
        largest = std::max(largest, value);
    }
    if (reduction == Reduction::max) {
        return {.value = largest};
    }
    const double accumulation = std::is_same_v<T, double> ? 0x1p-53 : 0x1p-24;
    double bound = std::is_integral_v<T> ? 0 : static_cast<double>(members) * accumulation * size;
    if (reduction == Reduction::average) {
        sum /= static_cast<double>(members);
        bound /= static_cast<double>(members);
        sum = std::is_integral_v<T> ? std::trunc(sum) : sum;
    }
    return {.value = sum, .bound = bound + 1.01 * unit<T> * std::abs(sum)};
}

class ShmSweep : public testing::Test {
  protected:
    static void SetUpTestSuite() {
        const std::unique_ptr<Communicator> world = session().world();
        heap_ = new std::shared_ptr<SharedHeap>(SharedHeap::create(*world));
    }

    static void TearDownTestSuite() { delete heap_; }

    [[nodiscard]] static const std::shared_ptr<SharedHeap>& heap() { return *heap_; }

    [[nodiscard]] static std::unique_ptr<Communicator> world() {
        return make_shm_communicator(session().world(), heap());
    }

  private:
    inline static std::shared_ptr<SharedHeap>* heap_ = nullptr;  // NOLINT: of the suite
};

/// A buffer of either kind of memory.
template <class T>
class Array {
  public:
    Array(SharedHeap& heap, Memory memory, std::int64_t count)
        : ordinary_(static_cast<std::size_t>(count)),
          lent_(memory == Memory::heap || (memory == Memory::mixed && heap.self() % 2 == 0)
                    ? heap.lend(static_cast<std::size_t>(count) * sizeof(T))
                    : nullptr) {}

    [[nodiscard]] std::span<T> elements() {
        return lent_ ? std::span{reinterpret_cast<T*>(lent_.get()), ordinary_.size()}
                     : std::span{ordinary_};
    }

    [[nodiscard]] std::span<std::byte> part(std::int64_t first, std::int64_t count) {
        return std::as_writable_bytes(
            elements().subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count)));
    }

  private:
    std::vector<T> ordinary_;
    std::shared_ptr<std::byte> lent_;
};

struct Setting {
    Memory memory = Memory::ordinary;
    Place place = Place::apart;
    Urgency urgency = Urgency::immediate;
    std::int64_t count = 0;
};

std::string text_of(const Setting& setting) {
    return fmt::format("memory {}, place {}, urgency {}, {} elements",
                       static_cast<int>(setting.memory),
                       static_cast<int>(setting.place),
                       static_cast<int>(setting.urgency),
                       setting.count);
}

/// How many of the results, which are elements [first, ...) of the reduction, are out of bounds.
template <class T>
std::int64_t wrong(std::span<const T> results,
                   std::int64_t members,
                   std::int64_t first,
                   Reduction reduction) {
    std::int64_t count = 0;
    for (std::size_t i = 0; i < results.size(); ++i) {
        const Expected each = expected<T>(members, first + static_cast<std::int64_t>(i), reduction);
        count += std::abs(to_double(results[i]) - each.value) <= each.bound ? 0 : 1;
    }
    return count;
}

template <class T>
void fill(std::span<T> elements, std::int64_t rank) {
    for (std::size_t i = 0; i < elements.size(); ++i) {
        elements[i] = contribution<T>(rank, static_cast<std::int64_t>(i));
    }
}

template <class T>
void all_reduce_is_right(Communicator& group,
                         SharedHeap& heap,
                         Reduction reduction,
                         const Setting& setting) {
    Array<T> in(heap, setting.memory, setting.count);
    Array<T> out(heap, setting.memory, setting.place == Place::apart ? setting.count : 0);
    Array<T>& result = setting.place == Place::apart ? out : in;
    fill(in.elements(), group.rank().value());
    finish(group.all_reduce(in.part(0, setting.count),
                            result.part(0, setting.count),
                            TypeOf<T>::type,
                            reduction,
                            setting.urgency));
    EXPECT_EQ(wrong<T>(result.elements(), group.size(), 0, reduction), 0)
        << to_string(TypeOf<T>::type) << ' ' << to_string(reduction) << ' ' << text_of(setting);
}

template <class T>
void reduce_scatter_is_right(Communicator& group,
                             SharedHeap& heap,
                             Reduction reduction,
                             const Setting& setting) {
    const std::int64_t first = group.rank().value() * setting.count;
    Array<T> in(heap, setting.memory, setting.count * group.size());
    Array<T> out(heap, setting.memory, setting.place == Place::apart ? setting.count : 0);
    fill(in.elements(), group.rank().value());
    const std::span<std::byte> result =
        setting.place == Place::apart ? out.part(0, setting.count) : in.part(first, setting.count);
    finish(group.reduce_scatter(in.part(0, setting.count * group.size()),
                                result,
                                TypeOf<T>::type,
                                reduction,
                                setting.urgency));
    const std::span<const T> values{reinterpret_cast<const T*>(result.data()),
                                    static_cast<std::size_t>(setting.count)};
    EXPECT_EQ(wrong<T>(values, group.size(), first, reduction), 0)
        << to_string(TypeOf<T>::type) << ' ' << to_string(reduction) << ' ' << text_of(setting);
}

void all_gather_is_right(Communicator& group, SharedHeap& heap, const Setting& setting) {
    const std::int64_t first = group.rank().value() * setting.count;
    Array<std::int32_t> out(heap, setting.memory, setting.count * group.size());
    Array<std::int32_t> in(heap, setting.memory, setting.place == Place::apart ? setting.count : 0);
    const std::span<std::byte> mine =
        setting.place == Place::apart ? in.part(0, setting.count) : out.part(first, setting.count);
    fill(std::span{reinterpret_cast<std::int32_t*>(mine.data()),
                   static_cast<std::size_t>(setting.count)},
         group.rank().value());
    finish(group.all_gather(mine, out.part(0, setting.count * group.size()), setting.urgency));
    std::int64_t errors = 0;
    for (std::int64_t i = 0; i < setting.count * group.size(); ++i) {
        const auto expected = contribution<std::int32_t>(i / setting.count, i % setting.count);
        errors += out.elements()[static_cast<std::size_t>(i)] == expected ? 0 : 1;
    }
    EXPECT_EQ(errors, 0) << text_of(setting);
}

void broadcast_is_right(Communicator& group, SharedHeap& heap, const Setting& setting) {
    const GroupRank root{group.size() - 1};
    Array<std::int32_t> buffer(heap, setting.memory, setting.count);
    fill(buffer.elements(), group.rank().value());
    finish(group.broadcast(buffer.part(0, setting.count), root, setting.urgency));
    EXPECT_EQ(wrong<std::int32_t>(buffer.elements(), 1, 0, Reduction::sum) == 0,
              group.size() == 1 || setting.count == 0)
        << "the root's values differ from those of rank 0";
    std::int64_t errors = 0;
    for (std::int64_t i = 0; i < setting.count; ++i) {
        const auto expected = contribution<std::int32_t>(root.value(), i);
        errors += buffer.elements()[static_cast<std::size_t>(i)] == expected ? 0 : 1;
    }
    EXPECT_EQ(errors, 0) << text_of(setting);
}

/// Member s sends (s + d + 1) % 3 times `count` elements to member d: some parts are empty, and a
/// member's sizes differ from its neighbour's.
void exchange_is_right(Communicator& group, SharedHeap& heap, const Setting& setting) {
    const auto part = [&](std::int64_t from, std::int64_t to) {
        return (from + to + 1) % 3 * setting.count;
    };
    constexpr std::int64_t width = sizeof(std::int32_t);
    const std::int64_t rank = group.rank().value();
    std::vector<std::int64_t> sent;
    std::vector<std::int64_t> received;
    std::int64_t in_total = 0;
    std::int64_t out_total = 0;
    for (std::int64_t peer = 0; peer < group.size(); ++peer) {
        sent.push_back(part(rank, peer) * width);
        received.push_back(part(peer, rank) * width);
        in_total += part(rank, peer);
        out_total += part(peer, rank);
    }
    Array<std::int32_t> in(heap, setting.memory, in_total);
    Array<std::int32_t> out(heap, setting.memory, out_total);
    std::size_t at = 0;
    for (std::int64_t peer = 0; peer < group.size(); ++peer) {
        for (std::int64_t i = 0; i < part(rank, peer); ++i) {
            in.elements()[at++] = contribution<std::int32_t>(100 * rank + peer, i);
        }
    }
    finish(group.all_to_all(in.part(0, in_total),
                            out.part(0, out_total),
                            {.sent = sent, .received = received},
                            setting.urgency));
    std::int64_t errors = 0;
    at = 0;
    for (std::int64_t peer = 0; peer < group.size(); ++peer) {
        for (std::int64_t i = 0; i < part(peer, rank); ++i) {
            const auto expected = contribution<std::int32_t>(100 * peer + rank, i);
            errors += out.elements()[at++] == expected ? 0 : 1;
        }
    }
    EXPECT_EQ(errors, 0) << text_of(setting);
}

/// Nothing, one, odd, not divisible by the group, and enough for the paths of long messages.
std::vector<std::int64_t> counts(std::int64_t members) {
    return {0, 1, 97, 100 * members + 1, members > 8 ? 5'003 : 20'011};
}

template <class Check>
void for_each_setting(std::int64_t members, Check&& check) {
    for (const std::int64_t count : counts(members)) {
        for (const Memory memory : memories) {
            for (const Place place : places) {
                const Urgency urgency = urgencies[static_cast<std::size_t>(count % 2)];
                check(
                    Setting{.memory = memory, .place = place, .urgency = urgency, .count = count});
            }
        }
    }
}

void sweep(Communicator& group, SharedHeap& heap) {
    for_each_setting(group.size(), [&](const Setting& setting) {
        for_each_type([&]<class T>(T) {
            for (const Reduction reduction : reductions) {
                all_reduce_is_right<T>(group, heap, reduction, setting);
                if (setting.count < 5'000) {
                    reduce_scatter_is_right<T>(group, heap, reduction, setting);
                }
            }
        });
        reduce_scatter_is_right<Bf16>(group, heap, Reduction::sum, setting);
        all_gather_is_right(group, heap, setting);
        if (setting.place == Place::apart) {
            broadcast_is_right(group, heap, setting);
            exchange_is_right(group, heap, setting);
        }
    });
}

TEST_F(ShmSweep, everything_is_right) {
    const std::unique_ptr<Communicator> all = world();
    if (all->size() <= 8) {
        sweep(*all, *heap());
    }
}

TEST_F(ShmSweep, messages_of_many_chunks_are_right) {
    const std::unique_ptr<Communicator> all =
        make_shm_communicator(session().world(), heap(), {.chunk_bytes = std::size_t{64} << 10});
    if (all->size() > 8) {
        GTEST_SKIP() << "so many ranks are for sizes of groups";
    }
    for (const Memory memory : memories) {
        for (const Place place : places) {
            const Setting setting{
                .memory = memory, .place = place, .urgency = Urgency::background, .count = 600'007};
            all_reduce_is_right<float>(*all, *heap(), Reduction::sum, setting);
            all_reduce_is_right<Bf16>(*all, *heap(), Reduction::average, setting);
            const Setting part{.memory = memory,
                               .place = place,
                               .urgency = Urgency::immediate,
                               .count = 400'007 / all->size()};
            reduce_scatter_is_right<float>(*all, *heap(), Reduction::sum, part);
            all_gather_is_right(*all, *heap(), part);
            broadcast_is_right(*all, *heap(), part);
            exchange_is_right(*all, *heap(), part);
        }
    }
}

TEST_F(ShmSweep, groups_of_every_size_are_right) {
    const std::unique_ptr<Communicator> all = world();
    for (std::int64_t size = 1; size <= all->size(); ++size) {
        const bool inside = all->rank().value() < size;
        const std::unique_ptr<Communicator> part = all->split(inside ? 0 : 1, 0);
        for (const std::int64_t count : {std::int64_t{1}, std::int64_t{97}, std::int64_t{5'003}}) {
            for (const Memory memory : memories) {
                const Setting setting{.memory = memory, .count = count};
                all_reduce_is_right<Fp16>(*part, *heap(), Reduction::average, setting);
                reduce_scatter_is_right<std::int64_t>(*part, *heap(), Reduction::max, setting);
                all_gather_is_right(*part, *heap(), setting);
                exchange_is_right(*part, *heap(), setting);
                broadcast_is_right(*part, *heap(), setting);
            }
        }
    }
}

}  // namespace

}  // namespace traindyno::test
