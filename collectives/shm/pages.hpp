// SPDX-License-Identifier: Apache-2.0
// Sizes of pages, and what fills them.
#pragma once

#include <concepts>
#include <cstddef>
#include <type_traits>

namespace traindyno {

inline constexpr std::size_t page_bytes = 4096;
inline constexpr std::size_t huge_page_bytes = std::size_t{2} << 20;

/// The least multiple of `to` that is no less than `value`.
template <std::integral T>
[[nodiscard]] constexpr T rounded_up(T value, std::type_identity_t<T> to) {
    return (value + to - 1) / to * to;
}

}  // namespace traindyno
