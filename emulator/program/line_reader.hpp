// SPDX-License-Identifier: Apache-2.0
// Reads one line of a printed step program.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "emulator/base/enum_names.hpp"
#include "emulator/program/op.hpp"

namespace traindyno {

/// The words of one line, taken from left to right. What is not as asked throws ConfigError.
class LineReader {
  public:
    LineReader(std::string_view line, std::size_t number);

    [[nodiscard]] bool at_end() const { return next_ == words_.size(); }

    [[nodiscard]] bool next_is(std::string_view word) const {
        return !at_end() && words_[next_] == word;
    }

    std::string_view word();
    void expect(std::string_view wanted);
    void expect_end();
    /// The position that the line says it has.
    void expect_position(std::size_t position);

    std::int64_t integer() { return to_integer(word()); }

    /// An integer of 32 bits, as ids and tags are.
    std::int32_t small_integer();
    /// A position in a list.
    std::int32_t position();
    std::int64_t keyed(std::string_view key);
    /// Integers with commas between them, such as "3,0,5".
    std::vector<std::int64_t> keyed_list(std::string_view key);

    template <class AnyId>
    AnyId id() {
        return AnyId{position()};
    }

    template <class AnyId>
    AnyId keyed_id(std::string_view key) {
        expect(key);
        return id<AnyId>();
    }

    template <class E>
    E name() {
        const std::string_view text = word();
        const std::optional<E> value = parse_enum<E>(text);
        if (!value) {
            fail_choice(text, enum_choices<E>());
        }
        return *value;
    }

    Slice slice() { return to_slice(word()); }

    Slice keyed_slice(std::string_view key);
    /// A slice with "^T" behind it where it is used transposed.
    Slice matrix(Transpose& transpose);

    [[noreturn]] void fail(const std::string& problem) const;

  private:
    [[noreturn]] void fail_choice(std::string_view text, const std::string& choices) const;
    [[nodiscard]] std::string found() const;
    [[nodiscard]] std::int64_t to_integer(std::string_view text) const;
    [[nodiscard]] Slice to_slice(std::string_view text) const;

    std::size_t number_;
    std::vector<std::string_view> words_;
    std::size_t next_ = 0;
};

}  // namespace traindyno
