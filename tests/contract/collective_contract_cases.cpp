// SPDX-License-Identifier: Apache-2.0
// What the collectives of every communicator must do, whatever carries it.
#include <algorithm>
#include <cmath>
#include <type_traits>
#include <utility>

#include "tests/contract/communicator_contract.hpp"
#include "tests/contract/contract_values.hpp"

namespace traindyno::test {

namespace {

TEST_P(CommunicatorContract, all_reduce_sums_in_place) {
    for_each_type([this]<class T>(T) {
        for (const std::int64_t count : element_counts) {
            for (const Urgency urgency : urgencies) {
                std::vector<T> buffer = values<T>(count, rank() + 1);
                finish(group().all_reduce(
                    bytes(buffer), bytes(buffer), TypeOf<T>::type, Reduction::sum, urgency));
                EXPECT_EQ(differences(buffer, values<T>(count, triangle(size()))), 0)
                    << to_string(TypeOf<T>::type) << " x " << count;
            }
        }
    });
}

TEST_P(CommunicatorContract, all_reduce_takes_the_maximum_in_place) {
    for_each_type([this]<class T>(T) {
        for (const std::int64_t count : element_counts) {
            for (const Urgency urgency : urgencies) {
                // Negative, so that a forgotten member or a zero would show.
                std::vector<T> buffer = values<T>(count, -(rank() + 1));
                finish(group().all_reduce(
                    bytes(buffer), bytes(buffer), TypeOf<T>::type, Reduction::max, urgency));
                EXPECT_EQ(differences(buffer, values<T>(count, -1)), 0)
                    << to_string(TypeOf<T>::type) << " x " << count;
            }
        }
    });
}

TEST_P(CommunicatorContract, bf16_sums_are_rounded_to_nearest_even) {
    // 256 + 3 = 259 lies between 258 and 260: a tie, and 260 has the even mantissa. The other
    // members add nothing, so the order of the sum does not matter.
    const std::int64_t mine = rank() == 0 ? 256 : rank() == 1 ? 3 : 0;
    std::vector<Bf16> buffer{element<Bf16>(mine)};
    finish(group().all_reduce(
        bytes(buffer), bytes(buffer), DType::bf16, Reduction::sum, Urgency::immediate));
    EXPECT_EQ(to_float(buffer.front()), size() == 1 ? 256.0F : 260.0F);
}

TEST_P(CommunicatorContract, all_reduce_out_of_place_keeps_its_input) {
    for_each_type([this]<class T>(T) {
        for (const std::int64_t count : element_counts) {
            for (const Urgency urgency : urgencies) {
                std::vector<T> in = values<T>(count, rank() + 1);
                std::vector<T> out(in.size());
                finish(group().all_reduce(
                    bytes(in), bytes(out), TypeOf<T>::type, Reduction::sum, urgency));
                EXPECT_EQ(differences(out, values<T>(count, triangle(size()))), 0)
                    << to_string(TypeOf<T>::type) << " x " << count;
                EXPECT_EQ(differences(in, values<T>(count, rank() + 1)), 0) << count;
            }
        }
    });
}

template <class T>
double as_double(T value) {
    if constexpr (std::is_same_v<T, Bf16> || std::is_same_v<T, Fp16>) {
        return static_cast<double>(to_float(value));
    } else {
        return static_cast<double>(value);
    }
}

/// The averages of values scaled by rank + 1 are exact in every type; what a library scales first
/// (ncclAvg) is so where the divisor is a power of two, and else rounds at every step.
template <class T>
std::int64_t wrong_averages(const std::vector<T>& found, std::int64_t first, std::int64_t size) {
    const bool exact = std::is_integral_v<T> || (size & (size - 1)) == 0;
    const double step = std::is_same_v<T, Bf16>   ? 0x1p-8
                        : std::is_same_v<T, Fp16> ? 0x1p-11
                                                  : 0x1p-24;
    std::int64_t wrong = 0;
    for (std::size_t i = 0; i < found.size(); ++i) {
        const std::int64_t sum = triangle(size) * pattern(first + static_cast<std::int64_t>(i));
        const double average = std::is_integral_v<T>
                                   ? static_cast<double>(sum / size)
                                   : static_cast<double>(sum) / static_cast<double>(size);
        const double bound = exact ? 0 : average * step * static_cast<double>(size + 2);
        wrong += std::fabs(as_double(found[i]) - average) <= bound ? 0 : 1;
    }
    return wrong;
}

TEST_P(CommunicatorContract, averages_divide_the_sum_by_the_size) {
    for_each_type([this]<class T>(T) {
        for (const std::int64_t count : part_counts) {
            for (const Urgency urgency : urgencies) {
                std::vector<T> buffer = values<T>(count, rank() + 1);
                finish(group().all_reduce(
                    bytes(buffer), bytes(buffer), TypeOf<T>::type, Reduction::average, urgency));
                EXPECT_EQ(wrong_averages(buffer, 0, size()), 0)
                    << to_string(TypeOf<T>::type) << " x " << count;
                std::vector<T> in = values<T>(count * size(), rank() + 1);
                std::vector<T> out(static_cast<std::size_t>(count));
                finish(group().reduce_scatter(
                    bytes(in), bytes(out), TypeOf<T>::type, Reduction::average, urgency));
                EXPECT_EQ(wrong_averages(out, rank() * count, size()), 0)
                    << to_string(TypeOf<T>::type) << " x " << count;
            }
        }
    });
}

TEST_P(CommunicatorContract, averages_of_integers_round_towards_zero) {
    std::vector<std::int32_t> buffer{rank() == 0 ? -(2 * static_cast<std::int32_t>(size()) - 1) : 0,
                                     rank() == 0 ? 2 * static_cast<std::int32_t>(size()) - 1 : 0};
    finish(group().all_reduce(
        bytes(buffer), bytes(buffer), DType::int32, Reduction::average, Urgency::immediate));
    EXPECT_EQ(buffer, (std::vector<std::int32_t>{-1, 1}));
}

TEST_P(CommunicatorContract, a_destroyed_average_has_been_divided) {
    std::vector<double> buffer = values<double>(100'000, rank() + 1);
    {
        const Pending dropped = group().all_reduce(
            bytes(buffer), bytes(buffer), DType::fp64, Reduction::average, Urgency::background);
    }
    EXPECT_EQ(wrong_averages(buffer, 0, size()), 0);
}

TEST_P(CommunicatorContract, reduce_scatter_leaves_each_member_its_part) {
    for_each_type([this]<class T>(T) {
        for (const std::int64_t count : part_counts) {
            for (const Urgency urgency : urgencies) {
                std::vector<T> in = values<T>(count * size(), rank() + 1);
                std::vector<T> out(static_cast<std::size_t>(count));
                finish(group().reduce_scatter(
                    bytes(in), bytes(out), TypeOf<T>::type, Reduction::sum, urgency));
                EXPECT_EQ(differences(out, values<T>(count, triangle(size()), rank() * count)), 0)
                    << to_string(TypeOf<T>::type) << " x " << count;
                EXPECT_EQ(differences(in, values<T>(count * size(), rank() + 1)), 0) << count;
            }
        }
    });
}

TEST_P(CommunicatorContract, reduce_scatter_works_in_place) {
    for_each_type([this]<class T>(T) {
        for (const std::int64_t count : part_counts) {
            for (const Urgency urgency : urgencies) {
                std::vector<T> in = values<T>(count * size(), -(rank() + 1));
                const std::size_t part = static_cast<std::size_t>(count) * sizeof(T);
                const std::size_t begin = static_cast<std::size_t>(rank()) * part;
                finish(group().reduce_scatter(bytes(in),
                                              bytes(in).subspan(begin, part),
                                              TypeOf<T>::type,
                                              Reduction::max,
                                              urgency));
                const auto own = in.begin() + rank() * count;
                EXPECT_EQ(differences(std::vector<T>(own, own + count),
                                      values<T>(count, -1, rank() * count)),
                          0)
                    << to_string(TypeOf<T>::type) << " x " << count;
            }
        }
    });
}

TEST_P(CommunicatorContract, all_gather_puts_members_in_rank_order) {
    for (const std::int64_t count : part_counts) {
        for (const Urgency urgency : urgencies) {
            std::vector<std::int64_t> in = values<std::int64_t>(count, 100, rank() * count);
            std::vector<std::int64_t> out(static_cast<std::size_t>(count * size()));
            finish(group().all_gather(bytes(in), bytes(out), urgency));
            EXPECT_EQ(differences(out, values<std::int64_t>(count * size(), 100)), 0) << count;
        }
    }
}

TEST_P(CommunicatorContract, all_gather_works_in_place) {
    for (const std::int64_t count : part_counts) {
        for (const Urgency urgency : urgencies) {
            const std::vector<std::int64_t> own = values<std::int64_t>(count, 100, rank() * count);
            std::vector<std::int64_t> out(static_cast<std::size_t>(count * size()), -1);
            std::copy(own.begin(), own.end(), out.begin() + rank() * count);
            const std::size_t part = static_cast<std::size_t>(count) * sizeof(std::int64_t);
            finish(group().all_gather(
                bytes(out).subspan(static_cast<std::size_t>(rank()) * part, part),
                bytes(out),
                urgency));
            EXPECT_EQ(differences(out, values<std::int64_t>(count * size(), 100)), 0) << count;
        }
    }
}

TEST_P(CommunicatorContract, all_to_all_transposes_parts) {
    for (const std::int64_t count : part_counts) {
        for (const Urgency urgency : urgencies) {
            // Part p of member r holds 1000 r + p, so part r of member p must.
            std::vector<std::int64_t> in;
            std::vector<std::int64_t> expected;
            for (std::int64_t part = 0; part < size(); ++part) {
                in.insert(in.end(), static_cast<std::size_t>(count), 1000 * rank() + part);
                expected.insert(
                    expected.end(), static_cast<std::size_t>(count), 1000 * part + rank());
            }
            std::vector<std::int64_t> out(in.size());
            finish(group().all_to_all(bytes(in), bytes(out), {}, urgency));
            EXPECT_EQ(differences(out, expected), 0) << count;
        }
    }
}

/// An all-to-all of `units(from, to)` times `count` elements.
template <class Units>
void exchange_unequal(Communicator& group, std::int64_t count, Urgency urgency, Units&& units) {
    const std::int64_t rank = group.rank().value();
    std::vector<std::int64_t> in;
    std::vector<std::int64_t> expected;
    std::vector<std::int64_t> sent;
    std::vector<std::int64_t> received;
    constexpr auto width = static_cast<std::int64_t>(sizeof(std::int64_t));
    for (std::int64_t peer = 0; peer < group.size(); ++peer) {
        const std::int64_t to = units(rank, peer) * count;
        const std::int64_t from = units(peer, rank) * count;
        in.insert(in.end(), static_cast<std::size_t>(to), 1000 * rank + peer);
        expected.insert(expected.end(), static_cast<std::size_t>(from), 1000 * peer + rank);
        sent.push_back(to * width);
        received.push_back(from * width);
    }
    std::vector<std::int64_t> out(expected.size());
    Pending pending =
        group.all_to_all(bytes(in), bytes(out), {.sent = sent, .received = received}, urgency);
    sent.assign(sent.size(), -1);  // read before the call returned
    received.assign(received.size(), -1);
    finish(pending);
    EXPECT_EQ(differences(out, expected), 0) << count;
}

TEST_P(CommunicatorContract, all_to_all_takes_parts_of_unequal_sizes) {
    for (const std::int64_t count : part_counts) {
        for (const Urgency urgency : urgencies) {
            // Differs between the directions, and some parts are empty.
            exchange_unequal(group(), count, urgency, [](std::int64_t from, std::int64_t to) {
                return (2 * from + to) % 4;
            });
        }
    }
}

TEST_P(CommunicatorContract, all_to_all_lets_one_member_send_all_there_is) {
    for (const Urgency urgency : urgencies) {
        exchange_unequal(group(), 1000, urgency, [](std::int64_t from, std::int64_t /*to*/) {
            return from == 0 ? 1 : 0;
        });
    }
}

TEST_P(CommunicatorContract, broadcast_works_from_every_root) {
    for (const std::int64_t count : element_counts) {
        for (std::int64_t root = 0; root < size(); ++root) {
            for (const Urgency urgency : urgencies) {
                std::vector<std::int64_t> buffer = values<std::int64_t>(count, rank() + 1);
                finish(group().broadcast(bytes(buffer), GroupRank{root}, urgency));
                EXPECT_EQ(differences(buffer, values<std::int64_t>(count, root + 1)), 0)
                    << count << " from " << root;
            }
        }
    }
}

}  // namespace

}  // namespace traindyno::test
