// SPDX-License-Identifier: Apache-2.0
#include "collectives/reduce/reduce.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <type_traits>
#include <vector>

#include <gtest/gtest.h>

#include "collectives/half_types.hpp"
#include "emulator/base/error.hpp"

namespace traindyno {

namespace {

template <class T>
constexpr DType type_of = std::is_same_v<T, float>          ? DType::fp32
                          : std::is_same_v<T, double>       ? DType::fp64
                          : std::is_same_v<T, Bf16>         ? DType::bf16
                          : std::is_same_v<T, Fp16>         ? DType::fp16
                          : std::is_same_v<T, std::int32_t> ? DType::int32
                                                            : DType::int64;

template <class T>
T from_double(double value) {
    if constexpr (std::is_same_v<T, Bf16>) {
        return to_bf16(static_cast<float>(value));
    } else if constexpr (std::is_same_v<T, Fp16>) {
        return to_fp16(static_cast<float>(value));
    } else {
        return static_cast<T>(value);
    }
}

template <class T>
double to_double(T value) {
    if constexpr (std::is_same_v<T, Bf16> || std::is_same_v<T, Fp16>) {
        return static_cast<double>(to_float(value));
    } else {
        return static_cast<double>(value);
    }
}

template <class T>
class Reduce : public testing::Test {
  protected:
    using Array = std::vector<T>;

    /// Reduces `inputs` into `outputs`, whose elements from `first` on are used.
    static void run(const std::vector<Array>& inputs,
                    std::vector<Array>& outputs,
                    std::size_t first,
                    Reduction reduction,
                    Stores stores) {
        std::vector<const std::byte*> from;
        for (const Array& each : inputs) {
            from.push_back(reinterpret_cast<const std::byte*>(each.data() + first));
        }
        std::vector<std::byte*> to;
        for (Array& each : outputs) {
            to.push_back(reinterpret_cast<std::byte*>(each.data() + first));
        }
        const std::size_t bytes = (outputs.front().size() - first) * sizeof(T);
        const auto members = static_cast<std::int64_t>(inputs.size());
        reduce(from, to, bytes, {type_of<T>, reduction, members}, stores);
    }

    /// Integers whose sums every type holds exactly: at most 17 * 7 in size.
    static double value(std::size_t input, std::size_t i) {
        return static_cast<double>((i * 5 + input * 3) % 15) - 7;
    }

    static Array values(std::size_t input, std::size_t count) {
        Array result(count);
        for (std::size_t i = 0; i < count; ++i) {
            result[i] = from_double<T>(value(input, i));
        }
        return result;
    }

    static double expected(std::size_t inputs, std::size_t i, Reduction reduction) {
        double sum = 0;
        double largest = value(0, i);
        for (std::size_t input = 0; input < inputs; ++input) {
            sum += value(input, i);
            largest = std::max(largest, value(input, i));
        }
        if (reduction == Reduction::max) {
            return largest;
        }
        if (reduction == Reduction::sum) {
            return sum;
        }
        const double average = sum / static_cast<double>(inputs);
        if (std::is_integral_v<T>) {
            return std::trunc(average);
        }
        // The sum is exact, so that dividing in fp32 (fp64) and rounding once gives these bits.
        return std::is_same_v<T, double>
                   ? average
                   : to_double(from_double<T>(static_cast<double>(static_cast<float>(sum) /
                                                                  static_cast<float>(inputs))));
    }
};

using Types = testing::Types<float, double, Bf16, Fp16, std::int32_t, std::int64_t>;
TYPED_TEST_SUITE(Reduce, Types);

TYPED_TEST(Reduce, is_exact_on_small_integers) {
    for (const std::size_t inputs : {1U, 2U, 3U, 4U, 5U, 8U, 9U, 17U}) {
        for (const std::size_t count : {0U, 1U, 63U, 1024U, 3001U}) {
            for (const Reduction reduction : {Reduction::sum, Reduction::max, Reduction::average}) {
                for (const Stores stores :
                     {Stores::cached, Stores::streamed, Stores::first_cached}) {
                    std::vector<std::vector<TypeParam>> from;
                    for (std::size_t input = 0; input < inputs; ++input) {
                        from.push_back(this->values(input, count + 1));
                    }
                    // The second output begins an element later than a cache line may.
                    std::vector<std::vector<TypeParam>> to(2, this->values(99, count + 1));
                    this->run(from, to, 1, reduction, stores);
                    std::size_t wrong = 0;
                    for (const auto& output : to) {
                        EXPECT_EQ(to_double(output[0]), this->value(99, 0));
                        for (std::size_t i = 1; i <= count; ++i) {
                            wrong += to_double(output[i]) == this->expected(inputs, i, reduction)
                                         ? 0U
                                         : 1U;
                        }
                    }
                    EXPECT_EQ(wrong, 0U) << inputs << " inputs of " << count;
                }
            }
        }
    }
}

TYPED_TEST(Reduce, writes_into_its_inputs) {
    constexpr std::size_t count = 2500;
    for (const Stores stores : {Stores::cached, Stores::streamed}) {
        std::vector<std::vector<TypeParam>> both{this->values(0, count), this->values(1, count)};
        const std::vector<const std::byte*> from{
            reinterpret_cast<const std::byte*>(both[0].data()),
            reinterpret_cast<const std::byte*>(both[1].data())};
        const std::vector<std::byte*> to{reinterpret_cast<std::byte*>(both[0].data()),
                                         reinterpret_cast<std::byte*>(both[1].data())};
        reduce(from,
               to,
               count * sizeof(TypeParam),
               {.type = type_of<TypeParam>, .reduction = Reduction::sum},
               stores);
        std::size_t wrong = 0;
        for (std::size_t i = 0; i < count; ++i) {
            const double sum = this->value(0, i) + this->value(1, i);
            wrong += to_double(both[0][i]) == sum && to_double(both[1][i]) == sum ? 0U : 1U;
        }
        EXPECT_EQ(wrong, 0U);
    }
}

/// One element, reduced from several.
template <class T>
T reduced(const std::vector<T>& inputs, Reduction reduction) {
    std::vector<const std::byte*> from;
    for (const T& each : inputs) {
        from.push_back(reinterpret_cast<const std::byte*>(&each));
    }
    T result{};
    std::byte* const to = reinterpret_cast<std::byte*>(&result);
    reduce(from,
           {&to, 1},
           sizeof(T),
           {type_of<T>, reduction, static_cast<std::int64_t>(inputs.size())},
           Stores::cached);
    return result;
}

TEST(ReduceHalves, round_once_whatever_the_number_of_inputs) {
    // bf16 holds even integers above 256: rounded after each addition, every 1 would be lost.
    std::vector<Bf16> inputs(9, to_bf16(1.0F));
    inputs.front() = to_bf16(256.0F);
    EXPECT_EQ(to_float(reduced(inputs, Reduction::sum)), 264.0F);
    // 256 + 3 = 259 lies between 258 and 260: ties go to the even mantissa.
    EXPECT_EQ(to_float(reduced<Bf16>({to_bf16(256.0F), to_bf16(3.0F)}, Reduction::sum)), 260.0F);
    // Likewise fp16 above 2048.
    std::vector<Fp16> finer(5, to_fp16(1.0F));
    finer.front() = to_fp16(2048.0F);
    EXPECT_EQ(to_float(reduced(finer, Reduction::sum)), 2052.0F);
    // The sum does not fit into fp16; the average does.
    const std::vector<Fp16> large(4, to_fp16(60'000.0F));
    EXPECT_EQ(to_float(reduced(large, Reduction::average)), to_float(large.front()));
}

TEST(ReduceIntegers, wrap_and_divide_towards_zero) {
    constexpr std::int32_t most = std::numeric_limits<std::int32_t>::max();
    EXPECT_EQ(reduced<std::int32_t>({most, 1}, Reduction::sum),
              std::numeric_limits<std::int32_t>::min());
    EXPECT_EQ(reduced<std::int64_t>({-3, -4}, Reduction::average), -3);
    EXPECT_EQ(reduced<std::int64_t>({3, 4}, Reduction::average), 3);
}

TEST(ReduceFloats, stay_within_the_bound_of_recursive_summation) {
    constexpr std::size_t inputs = 16;
    std::vector<float> values;
    double exact = 0;
    double size = 0;
    for (std::size_t i = 0; i < inputs; ++i) {
        values.push_back(static_cast<float>(std::sin(static_cast<double>(i) * 1.7) * 1e3));
        exact += static_cast<double>(values.back());
        size += std::abs(static_cast<double>(values.back()));
    }
    // Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., equation 4.4.
    EXPECT_NEAR(
        static_cast<double>(reduced(values, Reduction::sum)), exact, (inputs - 1) * 0x1p-24 * size);
}

TEST(CopyBytes, copies_any_length_from_any_place_to_any_other) {
    std::vector<std::byte> from(1000);
    for (std::size_t i = 0; i < from.size(); ++i) {
        from[i] = static_cast<std::byte>(i % 251 + 1);
    }
    for (const Stores stores : {Stores::cached, Stores::streamed}) {
        for (const std::size_t first : {0U, 1U, 8U, 63U}) {
            for (const std::size_t bytes : {0U, 1U, 63U, 64U, 65U, 500U}) {
                std::vector<std::byte> to(1000);
                copy_bytes(from.data() + 3, to.data() + first, bytes, stores);
                for (std::size_t i = 0; i < to.size(); ++i) {
                    const bool inside = i >= first && i < first + bytes;
                    ASSERT_EQ(to[i], inside ? from[i - first + 3] : std::byte{0});
                }
            }
        }
    }
}

TEST(ReduceArguments, that_make_no_sense_are_our_bug) {
    float value = 0;
    std::byte* const to = reinterpret_cast<std::byte*>(&value);
    const std::array<const std::byte*, 1> from{to};
    EXPECT_THROW(reduce({}, {&to, 1}, 4, {}, Stores::cached), ContractError);
    EXPECT_THROW(reduce(from, {&to, 1}, 3, {}, Stores::cached), ContractError);
}

}  // namespace

}  // namespace traindyno
