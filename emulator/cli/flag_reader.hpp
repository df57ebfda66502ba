// SPDX-License-Identifier: Apache-2.0
// Typed access to flags: every wrong value becomes a problem that names its origin.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "emulator/base/enum_names.hpp"
#include "emulator/base/units.hpp"
#include "emulator/cli/flags.hpp"

namespace traindyno {

/// Bounds of a number, both included.
template <class Number>
struct Bounds {
    Number low;
    Number high;
};

/// Counts up to this are accepted: beyond it products of shapes overflow 64 bits.
inline constexpr std::int64_t largest_count = 100'000'000;

class FlagReader {
  public:
    FlagReader(const std::map<std::string, FlagValue>& values, Problems& problems)
        : values_(values), problems_(problems) {}

    [[nodiscard]] bool given(std::string_view name) const { return find(name) != nullptr; }

    [[nodiscard]] std::optional<std::string> text(std::string_view name) const;
    /// A whole number of at least 1.
    [[nodiscard]] std::optional<std::int64_t> count(std::string_view name) const;
    [[nodiscard]] std::optional<std::int64_t> whole(std::string_view name,
                                                    Bounds<std::int64_t> bounds) const;
    /// "8,8,9": whole numbers of at least 1.
    [[nodiscard]] std::optional<std::vector<std::int64_t>> counts(std::string_view name) const;
    [[nodiscard]] std::optional<double> number(std::string_view name, Bounds<double> bounds) const;
    [[nodiscard]] std::optional<Bytes> bytes(std::string_view name) const;

    template <class E>
    [[nodiscard]] std::optional<E> choice(std::string_view name) const {
        const FlagValue* value = find(name);
        if (value == nullptr) {
            return std::nullopt;
        }
        const auto parsed = parse_enum<E>(value->text);
        if (!parsed) {
            refuse_choice(*value, enum_choices<E>());
        }
        return parsed;
    }

    /// "--tp" or "study.toml:3: tp"; "--name" when the flag was not given.
    [[nodiscard]] std::string origin(std::string_view name) const;
    void refuse_choice(const FlagValue& value, const std::string& choices) const;

  private:
    [[nodiscard]] const FlagValue* find(std::string_view name) const;

    const std::map<std::string, FlagValue>& values_;
    Problems& problems_;
};

/// A whole number, or nothing when `text` is anything else.
[[nodiscard]] std::optional<std::int64_t> parse_whole(std::string_view text);

}  // namespace traindyno
