// SPDX-License-Identifier: Apache-2.0
// One name per enumerator: printing, parsing and listing the choices of an enum.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace traindyno {

/// Specialise with `static constexpr auto names = enum_table<E>("first", "second", ...);`
/// in the order of the enumerators, which count from 0 without gaps.
template <class E>
struct EnumNames;

template <class E, class... Names>
[[nodiscard]] constexpr auto enum_table(Names... names) {
    return std::array<std::string_view, sizeof...(Names)>{names...};
}

template <class E>
inline constexpr std::size_t enum_count = EnumNames<E>::names.size();

template <class E>
[[nodiscard]] constexpr std::string_view to_string(E value) requires requires {
    EnumNames<E>::names;
}

{ return EnumNames<E>::names[static_cast<std::size_t>(value)]; }

template <class E>
[[nodiscard]] constexpr std::optional<E> parse_enum(std::string_view text) {
    for (std::size_t i = 0; i < enum_count<E>; ++i) {
        if (EnumNames<E>::names[i] == text) {
            return static_cast<E>(i);
        }
    }
    return std::nullopt;
}

/// "a, b or c": the valid names, for error messages and help.
template <class E>
[[nodiscard]] std::string enum_choices() {
    std::string text;
    for (std::size_t i = 0; i < enum_count<E>; ++i) {
        if (i > 0) {
            text += i + 1 == enum_count<E> ? " or " : ", ";
        }
        text += EnumNames<E>::names[i];
    }
    return text;
}

}  // namespace traindyno
