// SPDX-License-Identifier: Apache-2.0
#include "emulator/program/line_reader.hpp"

#include <algorithm>
#include <charconv>
#include <limits>

#include <fmt/format.h>

#include "emulator/base/error.hpp"

namespace traindyno {

LineReader::LineReader(std::string_view line, std::size_t number) : number_(number) {
    while (!line.empty()) {
        const std::size_t begin = line.find_first_not_of(' ');
        if (begin == std::string_view::npos) {
            break;
        }
        line.remove_prefix(begin);
        const std::size_t end = std::min(line.find(' '), line.size());
        words_.push_back(line.substr(0, end));
        line.remove_prefix(end);
    }
}

std::string_view LineReader::word() {
    if (at_end()) {
        fail("the line ends early");
    }
    return words_[next_++];
}

void LineReader::expect(std::string_view wanted) {
    if (!next_is(wanted)) {
        fail(fmt::format("'{}' is missing{}", wanted, found()));
    }
    ++next_;
}

void LineReader::expect_end() {
    if (!at_end()) {
        fail(fmt::format("the line should end{}", found()));
    }
}

void LineReader::expect_position(std::size_t position) {
    if (integer() != static_cast<std::int64_t>(position)) {
        fail(fmt::format("the number should be {}", position));
    }
}

std::int32_t LineReader::small_integer() {
    const std::int64_t value = integer();
    if (value < std::numeric_limits<std::int32_t>::min() ||
        value > std::numeric_limits<std::int32_t>::max()) {
        fail(fmt::format("{} does not fit into 32 bits", value));
    }
    return static_cast<std::int32_t>(value);
}

std::int32_t LineReader::position() {
    const std::int32_t value = small_integer();
    if (value < 0) {
        fail(fmt::format("{} is not a position", value));
    }
    return value;
}

std::int64_t LineReader::keyed(std::string_view key) {
    expect(key);
    return integer();
}

std::vector<std::int64_t> LineReader::keyed_list(std::string_view key) {
    expect(key);
    std::string_view text = word();
    std::vector<std::int64_t> list;
    while (true) {
        const std::size_t comma = text.find(',');
        list.push_back(to_integer(text.substr(0, comma)));
        if (comma == std::string_view::npos) {
            return list;
        }
        text.remove_prefix(comma + 1);
    }
}

Slice LineReader::keyed_slice(std::string_view key) {
    expect(key);
    return slice();
}

Slice LineReader::matrix(Transpose& transpose) {
    std::string_view text = word();
    transpose = text.ends_with("^T") ? Transpose::yes : Transpose::no;
    if (transpose == Transpose::yes) {
        text.remove_suffix(2);
    }
    return to_slice(text);
}

void LineReader::fail(const std::string& problem) const {
    throw ConfigError(
        {fmt::format("line {}: {} (step programs are strict) compare with what print writes",
                     number_,
                     problem)});
}

void LineReader::fail_choice(std::string_view text, const std::string& choices) const {
    fail(fmt::format("'{}' is not one of {}", text, choices));
}

std::string LineReader::found() const {
    return at_end() ? " at the end" : fmt::format(" at '{}'", words_[next_]);
}

std::int64_t LineReader::to_integer(std::string_view text) const {
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) {
        fail(fmt::format("'{}' is not a whole number", text));
    }
    return value;
}

Slice LineReader::to_slice(std::string_view text) const {
    const std::size_t open = text.find('[');
    const std::size_t plus = text.find('+', open);
    if (plus == std::string_view::npos || text.back() != ']') {
        fail(fmt::format("'{}' is not a slice such as saved[0+64]", text));
    }
    const std::optional<Space> space = parse_enum<Space>(text.substr(0, open));
    if (!space) {
        fail_choice(text.substr(0, open), enum_choices<Space>());
    }
    return {.space = *space,
            .offset = to_integer(text.substr(open + 1, plus - open - 1)),
            .elements = to_integer(text.substr(plus + 1, text.size() - plus - 2))};
}

}  // namespace traindyno
