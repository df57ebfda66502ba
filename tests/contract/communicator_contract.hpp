// SPDX-License-Identifier: Apache-2.0
// The communicators under contract, and values that say where they come from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include <gtest/gtest.h>

#include "collectives/communicator.hpp"
#include "collectives/half_types.hpp"

namespace traindyno::test {

/// How messages between two ranks find each other (communicator.hpp).
enum class Matching : std::uint8_t { by_tag, in_order };

struct CommunicatorCase {
    std::string name;
    std::unique_ptr<Communicator> (*make)() = nullptr;
    Matching matching = Matching::by_tag;
    std::string (*missing)() = nullptr;  ///< says why the case cannot be made here, or ""
};

[[nodiscard]] inline std::string name_of(const testing::TestParamInfo<CommunicatorCase>& each) {
    return each.param.name;
}

class CommunicatorContract : public testing::TestWithParam<CommunicatorCase> {
  protected:
    void SetUp() override {
        const std::string missing = GetParam().missing == nullptr ? "" : GetParam().missing();
        if (!missing.empty()) {
            GTEST_SKIP() << missing;
        }
        group_ = GetParam().make();
    }

    [[nodiscard]] Communicator& group() { return *group_; }

    [[nodiscard]] std::int64_t size() const { return group_->size(); }

    [[nodiscard]] std::int64_t rank() const { return group_->rank().value(); }

    [[nodiscard]] GroupRank next() const { return GroupRank{(rank() + 1) % size()}; }

    [[nodiscard]] GroupRank previous() const { return GroupRank{(rank() + size() - 1) % size()}; }

  private:
    std::unique_ptr<Communicator> group_;
};

template <class T>
std::span<std::byte> bytes(std::vector<T>& values) {
    return std::as_writable_bytes(std::span{values});
}

inline void finish(Pending& pending) {
    while (!pending.done()) {
    }
}

inline void finish(Pending&& pending) {
    finish(pending);
}

// Small integers: exact in every type, sums over 8 ranks (at most 36 x 7) too, even in bf16, which
// holds integers up to 256.
[[nodiscard]] inline std::int64_t pattern(std::int64_t index) {
    return index % 7 + 1;
}

template <class T>
[[nodiscard]] T element(std::int64_t value) {
    if constexpr (std::is_same_v<T, Bf16>) {
        return to_bf16(static_cast<float>(value));
    } else if constexpr (std::is_same_v<T, Fp16>) {
        return to_fp16(static_cast<float>(value));
    } else {
        return static_cast<T>(value);
    }
}

/// scale * pattern(first), scale * pattern(first + 1), ...
template <class T>
[[nodiscard]] std::vector<T> values(std::int64_t count,
                                    std::int64_t scale,
                                    std::int64_t first = 0) {
    std::vector<T> result(static_cast<std::size_t>(count));
    for (std::size_t i = 0; i < result.size(); ++i) {
        result[i] = element<T>(scale * pattern(first + static_cast<std::int64_t>(i)));
    }
    return result;
}

/// How many elements differ; large vectors must not be printed.
template <class T>
[[nodiscard]] std::int64_t differences(const std::vector<T>& a, const std::vector<T>& b) {
    if (a.size() != b.size()) {
        return -1;
    }
    return std::inner_product(
        a.begin(), a.end(), b.begin(), std::int64_t{0}, std::plus<>{}, [](T x, T y) {
            return x == y ? 0 : 1;
        });
}

}  // namespace traindyno::test
