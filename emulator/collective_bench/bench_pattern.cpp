// SPDX-License-Identifier: Apache-2.0
#include "emulator/collective_bench/bench_pattern.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <type_traits>

#include "collectives/half_types.hpp"
#include "emulator/base/error.hpp"

namespace traindyno {

namespace {

/// Half a unit in the last place, relative to the value: 2 to the minus significant bits.
double rounding_unit(DType type) {
    switch (type) {
        case DType::bf16:
            return 0x1p-8;
        case DType::fp16:
            return 0x1p-11;
        case DType::fp32:
            return 0x1p-24;
        case DType::fp64:
            return 0x1p-53;
        case DType::int32:
        case DType::int64:
            return 0;
    }
    return 0;
}

bool is_integer(DType type) {
    return type == DType::int32 || type == DType::int64;
}

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

/// Calls `action` with a value of the C++ type.
template <class Action>
void with_type(DType type, Action&& action) {
    switch (type) {
        case DType::fp32:
            return action(float{});
        case DType::bf16:
            return action(Bf16{});
        case DType::fp16:
            return action(Fp16{});
        case DType::fp64:
            return action(double{});
        case DType::int32:
            return action(std::int32_t{});
        case DType::int64:
            return action(std::int64_t{});
    }
}

}  // namespace

BenchPattern::BenchPattern(const BenchCase& what, std::int64_t ranks, std::uint64_t round)
    : what_(what), ranks_(ranks), seed_(round * 1'000'003), modulus_(kinds) {
    const bool is_half = what.type == DType::bf16 || what.type == DType::fp16;
    if (is_half && reduces(what.op) && what.reduction != Reduction::max) {
        modulus_ = 5;
    }
    reduce();
}

std::size_t BenchPattern::hash(std::int64_t index) const {
    // Fibonacci hashing: the upper half of the product with 2^64 / golden ratio.
    const std::uint64_t product = (static_cast<std::uint64_t>(index) + seed_) * 0x9E3779B97F4A7C15U;
    return static_cast<std::uint32_t>(product >> 32) % static_cast<std::uint32_t>(kinds);
}

double BenchPattern::value(std::int64_t hash, std::int64_t rank) const {
    const std::int64_t middle = modulus_ / 2;
    return static_cast<double>((hash + 37 * rank) % kinds % modulus_ - middle);
}

BenchPattern::Table BenchPattern::values_of(std::int64_t rank) const {
    Table values{};
    for (std::size_t hash = 0; hash < values.size(); ++hash) {
        values[hash] = value(static_cast<std::int64_t>(hash), rank);
    }
    return values;
}

void BenchPattern::reduce() {
    const auto n = static_cast<double>(ranks_);
    const double unit = rounding_unit(what_.type);
    for (std::size_t hash = 0; hash < reduced_.size(); ++hash) {
        double sum = 0;
        double magnitudes = 0;
        double largest = value(static_cast<std::int64_t>(hash), 0);
        for (std::int64_t rank = 0; rank < ranks_; ++rank) {
            const double addend = value(static_cast<std::int64_t>(hash), rank);
            sum += addend;
            magnitudes += std::abs(addend);
            largest = std::max(largest, addend);
        }
        switch (what_.reduction) {
            case Reduction::sum:
                reduced_[hash] = sum;
                tolerance_[hash] = magnitudes * unit <= 1 ? 0 : (n - 1) * unit * magnitudes;
                break;
            case Reduction::max:
                reduced_[hash] = largest;
                break;
            case Reduction::average:
                reduced_[hash] = is_integer(what_.type) ? std::trunc(sum / n) : sum / n;
                tolerance_[hash] = (n + 2) * unit * magnitudes / n;
                break;
        }
    }
}

template <class T>
void BenchPattern::fill_as(std::span<std::byte> in, const Table& values) const {
    std::array<T, kinds> typed{};
    std::transform(values.begin(), values.end(), typed.begin(), from_double<T>);
    const auto count = static_cast<std::int64_t>(in.size() / sizeof(T));
    T* const elements = reinterpret_cast<T*>(in.data());
    for (std::int64_t i = 0; i < count; ++i) {
        elements[i] = typed[hash(i)];
    }
}

void BenchPattern::fill(std::span<std::byte> in, GroupRank rank) const {
    with_type(what_.type, [&]<class T>(T) { fill_as<T>(in, values_of(rank.value())); });
}

template <class T>
void BenchPattern::check_as(std::span<const std::byte> out,
                            std::int64_t first,
                            const Table& expected,
                            const Table& tolerance,
                            PatternVerdict& verdict) const {
    const auto count = static_cast<std::int64_t>(out.size() / sizeof(T));
    const T* const elements = reinterpret_cast<const T*>(out.data());
    for (std::int64_t i = 0; i < count; ++i) {
        const std::size_t kind = hash(first + i);
        const double found = to_double(elements[i]);
        // Negated so that a NaN counts as wrong.
        if (!(std::abs(found - expected[kind]) <= tolerance[kind])) {
            if (verdict.wrong == 0) {
                verdict = {.wrong = 0, .first = i, .found = found, .expected = expected[kind]};
            }
            ++verdict.wrong;
        }
    }
}

void BenchPattern::check_part(std::span<const std::byte> out,
                              std::int64_t first,
                              const Table& expected,
                              const Table& tolerance,
                              PatternVerdict& verdict) const {
    with_type(what_.type,
              [&]<class T>(T) { check_as<T>(out, first, expected, tolerance, verdict); });
}

PatternVerdict BenchPattern::check(std::span<const std::byte> out,
                                   GroupRank rank,
                                   std::int64_t count) const {
    PatternVerdict verdict;
    const Table exact{};
    const auto part_bytes = static_cast<std::size_t>(size_of(count, what_.type).value());
    switch (what_.op) {
        case BenchOp::all_reduce:
            check_part(out, 0, reduced_, tolerance_, verdict);
            return verdict;
        case BenchOp::reduce_scatter:
            check_part(out, rank.value() * count, reduced_, tolerance_, verdict);
            return verdict;
        case BenchOp::broadcast:
            check_part(out, 0, values_of(what_.root.value()), exact, verdict);
            return verdict;
        case BenchOp::sendrecv:
            check_part(out, 0, values_of((rank.value() + ranks_ - 1) % ranks_), exact, verdict);
            return verdict;
        case BenchOp::all_gather:
        case BenchOp::all_to_all:
            break;
    }
    const std::int64_t first = what_.op == BenchOp::all_to_all ? rank.value() * count : 0;
    for (std::int64_t from = 0; from < ranks_; ++from) {
        PatternVerdict part;
        check_part(out.subspan(static_cast<std::size_t>(from) * part_bytes, part_bytes),
                   first,
                   values_of(from),
                   exact,
                   part);
        if (part.wrong > 0 && verdict.wrong == 0) {
            verdict = part;
            verdict.first += from * count;
        } else {
            verdict.wrong += part.wrong;
        }
    }
    return verdict;
}

void BenchPattern::poison(std::span<std::byte> out) {
    // Beyond every pattern in every type: a NaN in fp16, else more than 10^9.
    std::fill(out.begin(), out.end(), std::byte{0x7f});
}

}  // namespace traindyno
