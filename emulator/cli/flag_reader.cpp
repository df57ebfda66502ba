// SPDX-License-Identifier: Apache-2.0
#include "emulator/cli/flag_reader.hpp"

#include <charconv>
#include <cmath>
#include <sstream>

#include <fmt/format.h>

#include "emulator/base/quantity_text.hpp"

namespace traindyno {

namespace {

template <class Number>
std::optional<Number> parse_all(std::string_view text) {
    Number number{};
    const char* const end = text.data() + text.size();
    const auto [stopped, error] = std::from_chars(text.data(), end, number);
    if (error != std::errc{} || stopped != end) {
        return std::nullopt;
    }
    return number;
}

}  // namespace

std::optional<std::int64_t> parse_whole(std::string_view text) {
    return parse_all<std::int64_t>(text);
}

const FlagValue* FlagReader::find(std::string_view name) const {
    const auto found = values_.find(std::string(name));
    return found == values_.end() ? nullptr : &found->second;
}

std::string FlagReader::origin(std::string_view name) const {
    const FlagValue* value = find(name);
    return value == nullptr ? fmt::format("--{}", name) : value->origin;
}

std::optional<std::string> FlagReader::text(std::string_view name) const {
    const FlagValue* value = find(name);
    if (value == nullptr) {
        return std::nullopt;
    }
    if (value->text.empty()) {
        problems_.add(fmt::format("{}: empty (a value is needed) write one or leave the flag out",
                                  value->origin));
        return std::nullopt;
    }
    return value->text;
}

std::optional<std::int64_t> FlagReader::count(std::string_view name) const {
    return whole(name, {.low = 1, .high = largest_count});
}

std::optional<std::int64_t> FlagReader::whole(std::string_view name,
                                              Bounds<std::int64_t> bounds) const {
    const FlagValue* value = find(name);
    if (value == nullptr) {
        return std::nullopt;
    }
    const auto parsed = parse_whole(value->text);
    if (!parsed || *parsed < bounds.low || *parsed > bounds.high) {
        problems_.add(
            fmt::format("{}: '{}' is not a whole number from {} to {} (nothing else makes sense "
                        "here) correct it",
                        value->origin,
                        value->text,
                        bounds.low,
                        bounds.high));
        return std::nullopt;
    }
    return parsed;
}

std::optional<std::vector<std::int64_t>> FlagReader::counts(std::string_view name) const {
    const auto list = text(name);
    if (!list) {
        return std::nullopt;
    }
    std::vector<std::int64_t> counts;
    std::istringstream stream(*list);
    for (std::string item; std::getline(stream, item, ',');) {
        const auto parsed = parse_whole(item);
        if (!parsed || *parsed < 1 || *parsed > largest_count) {
            problems_.add(fmt::format(
                "{}: '{}' is not a whole number from 1 to {} (the list counts something) "
                "write e.g. 8,8,9",
                origin(name),
                item,
                largest_count));
            return std::nullopt;
        }
        counts.push_back(*parsed);
    }
    return counts;
}

std::optional<double> FlagReader::number(std::string_view name, Bounds<double> bounds) const {
    const FlagValue* value = find(name);
    if (value == nullptr) {
        return std::nullopt;
    }
    const auto parsed = parse_all<double>(value->text);
    // Negated so that NaN is refused too.
    if (!parsed || !(*parsed >= bounds.low && *parsed <= bounds.high)) {
        problems_.add(fmt::format(
            "{}: '{}' is not a number from {} to {} (nothing else makes sense here) correct it",
            value->origin,
            value->text,
            bounds.low,
            bounds.high));
        return std::nullopt;
    }
    return parsed;
}

std::optional<Bytes> FlagReader::bytes(std::string_view name) const {
    const FlagValue* value = find(name);
    if (value == nullptr) {
        return std::nullopt;
    }
    try {
        const Bytes parsed = parse_bytes(value->text);
        if (parsed > Bytes{0}) {
            return parsed;
        }
        problems_.add(
            fmt::format("{}: '{}' is not positive (nothing fits into it) write e.g. 25MiB",
                        value->origin,
                        value->text));
    } catch (const ConfigError& error) {
        for (const std::string& problem : error.problems()) {
            problems_.add(fmt::format("{}: {}", value->origin, problem));
        }
    }
    return std::nullopt;
}

void FlagReader::refuse_choice(const FlagValue& value, const std::string& choices) const {
    problems_.add(fmt::format("{}: '{}' is not known (the choices are {}) use one of them",
                              value.origin,
                              value.text,
                              choices));
}

}  // namespace traindyno
